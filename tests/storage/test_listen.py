"""Hearing at once what other processes say."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection

from fhir_server.background.tasks import running
from fhir_server.storage.listen import Listener, Wake
from fhir_server.storage.store import Connection


@asynccontextmanager
async def listening(database: str, *channels: str) -> AsyncIterator[list[Wake]]:
    listener = Listener(database)
    wakes = [listener.on(channel) for channel in channels]
    async with running(listener.run):
        for wake in wakes:
            await wake.wait(5)  # woken when it begins to listen
        yield wakes


async def woken(wake: Wake, within: float) -> bool:
    begun = time.monotonic()
    await wake.wait(within)
    return time.monotonic() - begun < within


async def notify(connection: Connection, channel: str) -> None:
    await connection.execute("select pg_notify(%s, '')", (channel,))


async def test_whoever_waits_for_a_channel_is_woken_by_it_alone(
    database: str, connection: Connection
) -> None:
    async with listening(database, "one", "other") as (one, other):
        await notify(connection, "one")
        assert await woken(one, 15)
        assert not await woken(other, 0.1)


async def test_what_comes_while_nobody_waits_is_not_lost(
    database: str, connection: Connection
) -> None:
    async with listening(database, "one", "other") as (one, other):
        await notify(connection, "one")
        await notify(connection, "other")
        assert await woken(other, 15)
        assert await woken(one, 15)
        assert not await woken(one, 0.1)


async def test_everybody_is_woken_when_the_connection_was_lost_and_hears_again(
    database: str, connection: Connection
) -> None:
    async with listening(database, "one") as (one,):
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'fhir-server listening' and datname = current_database()"
        )
        assert await woken(one, 15)
        await notify(connection, "one")
        assert await woken(one, 15)


async def test_a_database_that_is_not_there_is_asked_again(database: str) -> None:
    listener = Listener("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    wake = listener.on("one")
    async with running(listener.run):
        assert not await woken(wake, 0.5)
    async with await AsyncConnection.connect(database):
        await asyncio.sleep(0)


async def test_tenants_that_come_while_it_listens_are_heard(database: str) -> None:
    listener = Listener(database)
    wake = listener.on_tenants(lambda tenant: f"tenant_{tenant}_said")
    listener.follow(["north"])
    task = asyncio.create_task(listener.run())
    try:
        await asyncio.wait_for(wake.wait(10), 10)
        listener.follow(["south"])
        # Told of at once, since something may have been missed.
        started = asyncio.get_running_loop().time()
        await wake.wait(10)
        assert asyncio.get_running_loop().time() - started < 9
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("select pg_notify('tenant_north_said', '')")
            started = asyncio.get_running_loop().time()
            await wake.wait(1)
            assert asyncio.get_running_loop().time() - started >= 1
            connection.execute("select pg_notify('tenant_south_said', '')")
            started = asyncio.get_running_loop().time()
            await wake.wait(10)
            assert asyncio.get_running_loop().time() - started < 9
    finally:
        task.cancel()
        await asyncio.wait([task])
