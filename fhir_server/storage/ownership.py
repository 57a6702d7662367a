"""What one process of all does: whoever holds a lock of the database, until its connection ends."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from fhir_server.storage.connecting import Connection, connected

_TRY_EVERY = 2.0
_LOOK_EVERY = 2.0


class OwnershipLost(Exception):
    """The connection that held the lock is gone; another process may have it."""


class Ownership:
    """A lock that is held. `held` returns only by raising `OwnershipLost`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def held(self) -> None:
        """Wait for as long as the lock is held. Raises `OwnershipLost`."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self._connection.execute("select 1")
            except (psycopg.Error, OSError) as error:
                raise OwnershipLost from error


@asynccontextmanager
async def owning(database_url: str, name: str) -> AsyncIterator[Ownership]:
    """Wait until this process alone has a name, and have it for the length of the block."""
    async with await connected(database_url, application_name=f"fhir-server {name}") as connection:
        for attempt in itertools.count():
            if await _locked(connection, name):
                break
            # The first again soon: at a restart the one before may be about to end.
            await asyncio.sleep(_TRY_EVERY if attempt else _TRY_EVERY / 10)
        yield Ownership(connection)


async def _locked(connection: Connection, name: str) -> bool:
    cursor = await connection.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 1))", (f"fhir-server {name}",)
    )
    row = await cursor.fetchone()
    return row is not None and row[0] is True
