"""Connections to PostgreSQL: one pool a process, autocommit statements and transactions."""

import select
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from fhir_server.outcome import Conflict, Issue, Refusal, Unavailable
from fhir_server.storage.schema import ROW_ID_BLOCK
from fhir_server.storage.seal import Seal
from fhir_server.storage.statements import Statements, statements_for

_MOST_KNOWN_TEXTS = 100_000

# Searches are short and many at once: neither compiling nor parallel workers pay, and pages of a
# database that is in use are in memory or on disks without heads.
PLANNING = "-c jit=off -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]


class Store(Protocol):
    """Where interactions get their connections from."""

    def connection(self, tenant: str) -> "AsyncConnectionContext":
        """A connection to a tenant's data on which each statement commits by itself."""

    def transaction(self, tenant: str) -> "AsyncConnectionContext":
        """A connection inside a transaction, committed when the block ends without an error."""

    def server(self) -> "AsyncConnectionContext":
        """A connection to what is no tenant's, the schema `fhir_server`; autocommit."""

    def statements(self, tenant: str) -> Statements:
        """The SQL of a tenant's schema."""

    async def row_ids(self, connection: Connection, tenant: str, count: int) -> list[int]:
        """`count` unused row ids."""

    async def learn(
        self, connection: Connection, tenant: str, texts: Iterable[tuple[int, str]]
    ) -> None:
        """Make sure that the vocabulary has these texts, before what is found by them is stored."""

    async def secret(self, connection: Connection, tenant: str, name: str) -> bytes:
        """A key of the tenant's that never leaves the server."""


class AsyncConnectionContext(Protocol):
    """An `async with` block that gives a connection."""

    async def __aenter__(self) -> Connection: ...

    async def __aexit__(self, *error: Any) -> bool | None: ...


async def _configure(connection: Connection) -> None:
    connection.prepare_threshold = 0
    connection.prepared_max = 500


def _is_over(connection: Connection) -> bool:
    """Whether an idle connection has something to say: that its server is gone.

    After a restart of PostgreSQL each connection of the pool would else fail one request. The
    pool's own check asks the database, which costs a round trip each time.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class PooledStore:
    """The store of one process.

    database_url: a libpq connection string.
    size: connections kept open at most.
    statement_timeout: seconds after which PostgreSQL ends a statement.
    acquire_timeout: seconds to wait for a free connection before the request is refused.
    """

    def __init__(
        self,
        database_url: str,
        *,
        size: int = 16,
        statement_timeout: float = 60.0,
        acquire_timeout: float = 10.0,
    ) -> None:
        options = f"{PLANNING} -c statement_timeout={int(statement_timeout * 1000)} -c timezone=UTC"
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            database_url,
            kwargs={"autocommit": True, "options": options},
            min_size=min(2, size),
            max_size=size,
            timeout=acquire_timeout,
            configure=_configure,
            open=False,
        )
        self._row_ids: dict[str, tuple[int, int]] = {}
        self._secrets: dict[tuple[str, str], bytes] = {}
        self._known_texts: dict[str, set[tuple[int, str]]] = {}
        self._sealed: dict[str, Statements] = {}

    async def open(self) -> None:
        """Open the pool; a database that is still starting is waited for in the background."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    def statements(self, tenant: str) -> Statements:
        """The SQL of a tenant's schema."""
        return self._sealed.get(tenant) or statements_for(tenant)

    def use_seal(self, tenant: str, seal: Seal | None) -> None:
        """Have the contents of a tenant go through a seal from now on, or through none.

        What is known of the vocabulary is forgotten: what a seal covers has no texts there.
        """
        self._known_texts.pop(tenant, None)
        self._sealed.pop(tenant, None)
        if seal is not None:
            self._sealed[tenant] = statements_for(tenant).sealed_by(seal)

    def connection(self, tenant: str) -> "_Borrowed":
        """A connection to a tenant's data on which each statement commits by itself."""
        return _Borrowed(self._pool)

    def server(self) -> "_Borrowed":
        """A connection to what is no tenant's, the schema `fhir_server`; autocommit."""
        return _Borrowed(self._pool)

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[Connection]:
        """A connection inside a transaction, committed when the block ends without an error."""
        async with self.connection(tenant) as connection, connection.transaction():
            yield connection

    async def row_ids(self, connection: Connection, tenant: str, count: int) -> list[int]:
        """`count` unused row ids; a block is fetched when the last one is used up.

        connection: the caller's own. Waiting for a second one while holding the first would stop
        everybody when all connections are in use.
        """
        taken: list[int] = []
        while len(taken) < count:
            following, end = self._row_ids.get(tenant, (0, 0))
            if following == end:
                following, end = await self._next_block(connection, tenant)
            take = min(count - len(taken), end - following)
            taken.extend(range(following, following + take))
            self._row_ids[tenant] = (following + take, end)
        return taken

    async def learn(
        self, connection: Connection, tenant: str, texts: Iterable[tuple[int, str]]
    ) -> None:
        """Make sure that the vocabulary has these texts, before what is found by them is stored.

        What this process knows to be there costs nothing. A text written inside a transaction is
        not remembered, because the transaction may not last; one older than all open transactions
        does. One written twice at once is there
        twice, which no search minds, and so writers never wait for each other here.
        """
        known = self._known_texts.setdefault(tenant, set())
        new = [item for item in texts if item not in known]
        if not new:
            return
        parameters, values = zip(*new, strict=True)
        cursor = await connection.execute(
            self.statements(tenant).learn, (list(parameters), list(values)), prepare=False
        )
        if connection.info.transaction_status != TransactionStatus.IDLE:
            new = await cursor.fetchall()
        if len(known) > _MOST_KNOWN_TEXTS:
            known.clear()
        known.update(new)

    async def secret(self, connection: Connection, tenant: str, name: str) -> bytes:
        """A key of the tenant's that never leaves the server; read once a process."""
        found = self._secrets.get((tenant, name))
        if found is None:
            cursor = await connection.execute(self.statements(tenant).secret, (name,))
            row = await cursor.fetchone()
            assert row is not None, f"migration 0002 makes the secret {name}"
            found = self._secrets[tenant, name] = bytes(row[0])
        return found

    async def _next_block(self, connection: Connection, tenant: str) -> tuple[int, int]:
        cursor = await connection.execute(self.statements(tenant).next_row_id)
        row = await cursor.fetchone()
        assert row is not None
        return row[0], row[0] + ROW_ID_BLOCK


class _Borrowed:
    """A connection for the length of a block; database errors leave it as refusals.

    Cheaper than the pool's own block, which commits: there is nothing to commit on autocommit.
    """

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        try:
            while True:
                self._connection = await self._pool.getconn()
                if not _is_over(self._connection):
                    return self._connection
                await self._connection.close()
                await self._pool.putconn(self._connection)
        except psycopg.Error as error:
            _refuse(error)
            raise

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        await self._pool.putconn(self._connection)
        if isinstance(error, psycopg.Error):
            _refuse(error)


def _refuse(error: psycopg.Error) -> None:
    refusal = _translated(error)
    if refusal is not None:
        raise refusal from error


def _translated(error: psycopg.Error) -> Refusal | None:
    """The refusal that a database error means for a client; None for a defect of ours."""
    if isinstance(error, errors.QueryCanceled):
        return Unavailable(Issue("timeout", "The database took too long; ask for less at once"))
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
        return Conflict(Issue("transient", "Another writer was faster; try again"))
    if isinstance(error, errors.UniqueViolation):
        return Conflict(Issue("duplicate", "Another writer stored the same identity; try again"))
    state = error.sqlstate
    if isinstance(error, psycopg.OperationalError) and (
        state is None or state.startswith(_OUT_OF_REACH)
    ):
        headers = {"Retry-After": "1"}
        return Unavailable(Issue("transient", "The database does not answer"), headers=headers)
    return None


# Connection exceptions, insufficient resources, operator intervention.
_OUT_OF_REACH = ("08", "53", "57P")


class BoundStore:
    """A store whose every connection is one transaction's, so that all interactions share it."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self._connection = connection

    @asynccontextmanager
    async def connection(self, tenant: str) -> AsyncIterator[Connection]:
        """The transaction's connection."""
        yield self._connection

    transaction = connection

    def server(self) -> AsyncConnectionContext:
        """A connection to what is no tenant's, outside the transaction."""
        return self._store.server()

    def statements(self, tenant: str) -> Statements:
        """The SQL of a tenant's schema."""
        return self._store.statements(tenant)

    async def row_ids(self, connection: Connection, tenant: str, count: int) -> list[int]:
        """`count` unused row ids."""
        return await self._store.row_ids(connection, tenant, count)

    async def learn(
        self, connection: Connection, tenant: str, texts: Iterable[tuple[int, str]]
    ) -> None:
        """Make sure that the vocabulary has these texts."""
        await self._store.learn(connection, tenant, texts)

    async def secret(self, connection: Connection, tenant: str, name: str) -> bytes:
        """A key of the tenant's that never leaves the server."""
        return await self._store.secret(connection, tenant, name)
