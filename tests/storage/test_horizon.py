"""Waiting for transactions that may not have seen a change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection

from fhir_server.storage.horizon import older_transactions_end
from fhir_server.storage.store import Connection


class Waiting:
    """A wait in the background, and how often it looked."""

    def __init__(self, connection: Connection) -> None:
        self.looks = 0
        self.task = asyncio.create_task(older_transactions_end(connection, self._pause))

    async def _pause(self) -> None:
        self.looks += 1
        await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Make sure that it waits."""
        before = self.looks
        async with asyncio.timeout(20):
            while self.looks < before + 5:
                assert not self.task.done()
                await asyncio.sleep(0.01)

    async def ends(self) -> None:
        """Make sure that it ends."""
        async with asyncio.timeout(20):
            await self.task


@asynccontextmanager
async def session(database: str) -> AsyncIterator[Connection]:
    async with await AsyncConnection.connect(database) as connection:
        yield connection


async def test_a_transaction_that_has_written_is_waited_for(
    connection: Connection, database: str
) -> None:
    async with session(database) as writer:
        await writer.execute("select pg_current_xact_id()")
        waiting = Waiting(connection)
        await waiting.goes_on()
        await writer.commit()
        await waiting.ends()


async def test_a_statement_that_began_before_is_waited_for_until_its_transaction_ends(
    connection: Connection, database: str
) -> None:
    async with session(database) as writer:
        # It takes its number, by which it could be told, only when it has waited.
        await connection.execute("select pg_advisory_lock(7)")
        statement = asyncio.create_task(
            writer.execute("select pg_advisory_lock_shared(7), pg_current_xact_id()")
        )
        await until_waiting(connection)
        # Its snapshot is older than this.
        async with session(database) as other:
            await other.execute("select pg_current_xact_id()")
            await other.commit()
        async with await AsyncConnection.connect(database, autocommit=True) as waiter:
            waiting = Waiting(waiter)
            await waiting.goes_on()
            await connection.execute("select pg_advisory_unlock(7)")
            await statement
            await waiting.goes_on()
            await writer.commit()
            await waiting.ends()


async def until_waiting(connection: Connection) -> None:
    async with asyncio.timeout(20):
        while True:
            cursor = await connection.execute(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            )
            if await cursor.fetchone() == (1,):
                return
            await asyncio.sleep(0.01)


async def test_transactions_that_begin_later_or_only_read_are_not_waited_for(
    connection: Connection, database: str
) -> None:
    async with session(database) as old, session(database) as reader:
        await reader.execute("select 1")
        await old.execute("select pg_current_xact_id()")
        waiting = Waiting(connection)
        await waiting.goes_on()
        async with session(database) as late:
            await late.execute("select pg_current_xact_id()")
            await old.commit()
            await waiting.ends()


async def test_nothing_is_waited_for_on_an_idle_database(connection: Connection) -> None:
    async def pause() -> None:
        pytest.fail("it waited")

    async with asyncio.timeout(20):
        await older_transactions_end(connection, pause)
