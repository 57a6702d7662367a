"""Connections to PostgreSQL: one pool a process, autocommit statements and transactions.

A connection to a tenant's data has the rights of the tenant's role and no others.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from fhir_server.outcome import Conflict, Issue, Refusal, Unavailable
from fhir_server.storage import tenants
from fhir_server.storage.pool import Connection, ConnectionPool
from fhir_server.storage.schema import ROW_ID_BLOCK
from fhir_server.storage.seal import Seal, Unread
from fhir_server.storage.statements import Statements, statements_for

__all__ = ["PLANNING", "AsyncConnectionContext", "BoundStore", "Connection", "PooledStore", "Store"]

_MOST_KNOWN_TEXTS = 100_000

# Searches are short and many at once: neither compiling nor parallel workers pay, and pages of a
# database that is in use are in memory or on disks without heads.
PLANNING = "-c jit=off -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"

_CLOSE_IDLE_EVERY = 15.0


class Store(Protocol):
    """Where interactions get their connections from."""

    def connection(self, tenant: str) -> "AsyncConnectionContext":
        """A connection to a tenant's data on which each statement commits by itself."""

    def transaction(self, tenant: str) -> "AsyncConnectionContext":
        """A connection inside a transaction, committed when the block ends without an error."""

    def server(self) -> "AsyncConnectionContext":
        """A connection to what is no tenant's, the schema `fhir_server`; autocommit."""

    async def lasting(self, tenant: str) -> Connection:
        """A connection to a tenant's data that the caller keeps and closes, beside all others."""

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


class PooledStore:
    """The store of one process.

    database_url: a libpq connection string.
    size: connections open at most, those to all tenants together.
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
        self._pool = ConnectionPool(
            database_url, options, size=size, acquire_timeout=acquire_timeout
        )
        self._roles: dict[str, str] = {}
        self._closing_idle: asyncio.Task[None] | None = None
        self._row_ids: dict[str, tuple[int, int]] = {}
        self._secrets: dict[tuple[str, str], bytes] = {}
        self._known_texts: dict[str, set[tuple[int, str]]] = {}
        self._sealed: dict[str, Statements] = {}

    async def open(self) -> None:
        """Begin to look after connections; they are opened when they are needed."""
        self._closing_idle = asyncio.create_task(self._close_idle())

    async def close(self) -> None:
        """Close every connection."""
        if self._closing_idle is not None:
            self._closing_idle.cancel()
            await asyncio.wait([self._closing_idle])
        await self._pool.close()

    async def forget(self, tenant: str) -> None:
        """Keep nothing of a tenant that is not served any more."""
        role = self._roles.pop(tenant, "")
        self._row_ids.pop(tenant, None)
        self._known_texts.pop(tenant, None)
        self._sealed.pop(tenant, None)
        for key in [key for key in self._secrets if key[0] == tenant]:
            del self._secrets[key]
        if role:
            await self._pool.forget(role)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(_CLOSE_IDLE_EVERY)
            await self._pool.close_idle()

    def statements(self, tenant: str) -> Statements:
        """The SQL of a tenant's schema."""
        return self._sealed.get(tenant) or self._guarded(tenant)

    def _guarded(self, tenant: str) -> Statements:
        found = self._sealed[tenant] = statements_for(tenant).sealed_by(Unread())
        return found

    def use_seal(self, tenant: str, seal: Seal | None) -> None:
        """Have the contents of a tenant go through a seal from now on, or through none.

        What is known of the vocabulary is forgotten: what a seal covers has no texts there.
        """
        self._known_texts.pop(tenant, None)
        statements = statements_for(tenant)
        self._sealed[tenant] = statements if seal is None else statements.sealed_by(seal)

    def connection(self, tenant: str) -> "_Borrowed":
        """A connection to a tenant's data on which each statement commits by itself."""
        return _Borrowed(self, self._pool, tenant)

    def server(self) -> "_Borrowed":
        """A connection to what is no tenant's, the schema `fhir_server`; autocommit."""
        return _Borrowed(self, self._pool, None)

    async def lasting(self, tenant: str) -> Connection:
        """A connection to a tenant's data that the caller keeps and closes, beside all others."""
        return await self._pool.lasting(await self.role(tenant))

    async def role(self, tenant: str) -> str:
        """The role that has a tenant's rights; empty if the login has them itself.

        Raises `Unavailable` for a tenant that is not served.
        """
        role = self._roles.get(tenant)
        if role is None:
            connection = await self._pool.acquire("")
            try:
                role = await tenants.role(connection, tenant)
            finally:
                await self._pool.release(connection)
            if role is None:
                raise Unavailable(Issue("transient", "This territory is not served"))
            self._roles[tenant] = role
        return role

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
    """A connection for the length of a block; database errors leave it as refusals."""

    __slots__ = ("_connection", "_pool", "_store", "_tenant")

    def __init__(self, store: PooledStore, pool: ConnectionPool, tenant: str | None) -> None:
        self._store = store
        self._pool = pool
        self._tenant = tenant

    async def __aenter__(self) -> Connection:
        try:
            role = "" if self._tenant is None else await self._store.role(self._tenant)
            self._connection = await self._pool.acquire(role)
        except psycopg.Error as error:
            _refuse(error)
            raise
        return self._connection

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        await self._pool.release(self._connection)
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

    async def lasting(self, tenant: str) -> Connection:
        """A connection outside the transaction."""
        return await self._store.lasting(tenant)

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
