"""The connections of one process, each with the rights of one role, bounded in all."""

import asyncio
import select
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import psycopg

from fhir_server.storage.connecting import Connection, connected

__all__ = ["Connection", "ConnectionPool"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_MOST_STATEMENTS = 500


class _Idle(NamedTuple):
    connection: Connection
    since: float


class _Waiting(NamedTuple):
    """Who waits: gets a connection, or None for leave to open one."""

    role: str
    given: "asyncio.Future[Connection | None]"


class ConnectionPool:
    """Connections by the role that they take on; an empty one is the login's own.

    A library's pool has connections that are all alike. With one for each role none could use what
    another has to spare.

    options: of PostgreSQL, for each connection.
    size: connections open at most, of all roles together.
    acquire_timeout: seconds to wait for one that is free.
    idle: seconds until one that nobody uses is closed.
    """

    def __init__(
        self,
        database_url: str,
        options: str,
        *,
        size: int,
        acquire_timeout: float,
        idle: float = 60.0,
    ) -> None:
        self._url = database_url
        self._options = options
        self._size = size
        self._timeout = acquire_timeout
        self._keep = idle
        # Of each role, the one that was used last at the end.
        self._idle: dict[str, deque[_Idle]] = {}
        # In the order in which roles are served next, so that one's rush stops no other.
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._roles: dict[Connection, str] = {}
        self._open = 0
        self._closed = False

    @property
    def open(self) -> int:
        """How many are open, or being opened."""
        return self._open

    async def acquire(self, role: str) -> Connection:
        """One that is nobody else's until it is released.

        Raises psycopg.OperationalError when there is none in time.
        """
        idle = self._idle.get(role)
        while idle:
            connection = idle.pop().connection
            if not _is_over(connection):
                return connection
            await self._drop(connection)
        try:
            async with asyncio.timeout(self._timeout):
                if self._open < self._size:
                    self._open += 1
                elif spare := self._spare():
                    await self._close(spare)
                elif given := await self._wait(role):
                    return given
                return await self._connect(role)
        except TimeoutError:
            raise psycopg.OperationalError("no connection is free") from None

    async def lasting(self, role: str) -> Connection:
        """One beside the pool, for who keeps it: it does not come back, and is not counted."""
        return await self._opened(role)

    async def release(self, connection: Connection) -> None:
        """Give one back."""
        role = self._roles[connection]
        if self._closed or connection.closed or _is_over(connection):
            await self._drop(connection)
            return
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            # Somebody broke off in the middle; its statement may still be running.
            await self._drop(connection)
            return
        waiting = self._next()
        if waiting is None:
            self._idle.setdefault(role, deque()).append(_Idle(connection, time.monotonic()))
        elif waiting.role == role:
            waiting.given.set_result(connection)
        else:
            await self._close(connection)
            waiting.given.set_result(None)

    async def forget(self, role: str) -> None:
        """Close what is idle of a role that is not needed any more."""
        for each in self._idle.pop(role, ()):
            await self._drop(each.connection)

    async def close_idle(self) -> None:
        """Close what nobody has used for long."""
        before = time.monotonic() - self._keep
        for role, idle in list(self._idle.items()):
            while idle and idle[0].since < before:
                await self._drop(idle.popleft().connection)
            if not idle and self._idle.get(role) is idle:
                del self._idle[role]

    async def close(self) -> None:
        """Close all that are idle, and each that is in use when it is released."""
        self._closed = True
        for role in list(self._idle):
            await self.forget(role)

    async def _wait(self, role: str) -> Connection | None:
        waiting = _Waiting(role, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(role, deque()).append(waiting)
        try:
            return await waiting.given
        except asyncio.CancelledError:
            if waiting.given.done() and not waiting.given.cancelled():
                given = waiting.given.result()
                if given is None:
                    self._give_up()
                else:
                    await self.release(given)
            raise

    async def _connect(self, role: str) -> Connection:
        """A new one, for which there is room; tried until the time is up."""
        pause = _FIRST_PAUSE
        try:
            while True:
                try:
                    connection = await self._opened(role)
                except psycopg.OperationalError:
                    # It may be starting.
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    break
        except BaseException:
            self._give_up()
            raise
        self._roles[connection] = role
        return connection

    async def _opened(self, role: str) -> Connection:
        options = f"{self._options} -c role={role}" if role else self._options
        connection = await connected(self._url, options=options, prepare_threshold=0)
        connection.prepared_max = _MOST_STATEMENTS
        return connection

    async def _drop(self, connection: Connection) -> None:
        await self._close(connection)
        self._give_up()

    async def _close(self, connection: Connection) -> None:
        del self._roles[connection]
        await connection.close()

    def _give_up(self) -> None:
        """Let another connection be opened in place of one that is closed."""
        waiting = self._next()
        if waiting is None:
            self._open -= 1
        else:
            waiting.given.set_result(None)

    def _next(self) -> _Waiting | None:
        """Who is served next, with the next role after that."""
        while self._waiting:
            role = next(iter(self._waiting))
            queue = self._waiting.pop(role)
            waiting = queue.popleft()
            if queue:
                self._waiting[role] = queue
            if not waiting.given.done():
                return waiting
        return None

    def _spare(self) -> Connection | None:
        """The idle one that has not been used for longest, which is nobody's any more."""
        oldest = min(self._eldest(), default=None)
        return self._idle[oldest[1]].popleft().connection if oldest else None

    def _eldest(self) -> Iterator[tuple[float, str]]:
        return ((idle[0].since, role) for role, idle in self._idle.items() if idle)


def _is_over(connection: Connection) -> bool:
    """Whether an idle connection has something to say: that its server is gone.

    After a restart of PostgreSQL each connection of the pool would else fail one request. Asking
    the database would cost a round trip each time.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
