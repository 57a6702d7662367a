"""The connections of one process, shared by roles."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from fhir_server.storage.pool import Connection, ConnectionPool


@pytest.fixture
def roles(database: str) -> list[str]:
    """Some roles that the login may take on."""
    names = ["pool_a", "pool_b", "pool_c"]
    with psycopg.connect(database, autocommit=True) as connection:
        for name in names:
            connection.execute(f"drop role if exists {name}")
            connection.execute(f"create role {name}")
    return names


@pytest.fixture
async def pool(database: str) -> AsyncIterator[ConnectionPool]:
    """One of two connections."""
    found = ConnectionPool(database, "-c jit=off", size=2, acquire_timeout=2, idle=0)
    yield found
    await found.close()


async def who(connection: Connection) -> str:
    row = await (await connection.execute("select current_user::text")).fetchone()
    assert row is not None
    return str(row[0])


async def test_a_connection_has_the_rights_of_its_role_even_when_reset(
    pool: ConnectionPool, roles: list[str]
) -> None:
    for role in (*roles, roles[0]):
        connection = await pool.acquire(role)
        assert await who(connection) == role
        await connection.execute("reset role")
        await connection.execute("discard all")
        assert await who(connection) == role
        await pool.release(connection)
    assert pool.open == 2


async def test_the_one_used_last_is_used_again(pool: ConnectionPool, roles: list[str]) -> None:
    first, second = await pool.acquire(roles[0]), await pool.acquire(roles[0])
    await pool.release(first)
    await pool.release(second)
    assert await pool.acquire(roles[0]) is second
    await pool.release(second)


async def test_no_more_than_allowed_are_open(pool: ConnectionPool, roles: list[str]) -> None:
    most = 0

    async def use(role: str) -> None:
        nonlocal most
        connection = await pool.acquire(role)
        most = max(most, pool.open)
        assert await who(connection) == role
        await pool.release(connection)

    await asyncio.gather(*(use(role) for role in roles * 5))
    assert most == 2


async def test_a_rush_of_one_role_does_not_keep_another_waiting(
    database: str, roles: list[str]
) -> None:
    pool = ConnectionPool(database, "", size=1, acquire_timeout=5)
    served: list[str] = []

    async def use(role: str) -> None:
        connection = await pool.acquire(role)
        served.append(role)
        await pool.release(connection)

    held = await pool.acquire(roles[0])
    rush = [asyncio.create_task(use(roles[0])) for _ in range(8)]
    await asyncio.sleep(0)
    late = asyncio.create_task(use(roles[1]))
    await asyncio.sleep(0)
    await pool.release(held)
    await asyncio.gather(*rush, late)
    assert served.index(roles[1]) == 1
    await pool.close()


async def test_who_gives_up_waiting_takes_nothing_away(
    pool: ConnectionPool, roles: list[str]
) -> None:
    held = [await pool.acquire(roles[0]), await pool.acquire(roles[1])]
    for _ in range(5):
        waiting = [asyncio.create_task(pool.acquire(role)) for role in roles]
        await asyncio.sleep(0.01)
        # At once with the release, so that some are given what they no longer want.
        await pool.release(held.pop())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in waiting:
            if not task.cancelled():
                await pool.release(task.result())
        held.append(await asyncio.wait_for(pool.acquire(roles[2]), 2))
        assert pool.open == 2
    for connection in held:
        await pool.release(connection)


async def test_waiting_has_an_end(database: str, roles: list[str]) -> None:
    pool = ConnectionPool(database, "", size=1, acquire_timeout=0.2)
    connection = await pool.acquire(roles[0])
    with pytest.raises(psycopg.OperationalError, match="no connection is free"):
        await pool.acquire(roles[1])
    await pool.release(connection)
    again = await pool.acquire(roles[1])
    assert await who(again) == roles[1]
    await pool.release(again)
    await pool.close()
    assert pool.open == 0


async def test_one_that_was_left_in_a_transaction_is_not_used_again(pool: ConnectionPool) -> None:
    connection = await pool.acquire("")
    await connection.execute("begin")
    await pool.release(connection)
    assert connection.closed
    assert pool.open == 0


async def test_idle_ones_are_closed_after_a_while(pool: ConnectionPool, roles: list[str]) -> None:
    first, second = await pool.acquire(roles[0]), await pool.acquire(roles[1])
    await pool.release(first)
    await asyncio.sleep(0.01)
    await pool.close_idle()
    assert pool.open == 1
    assert first.closed
    await pool.release(second)
    await pool.forget(roles[1])
    assert pool.open == 0


async def test_a_login_that_may_not_take_on_a_role_gets_no_connection(database: str) -> None:
    pool = ConnectionPool(database, "", size=1, acquire_timeout=0.3)
    with pytest.raises(psycopg.OperationalError):
        await pool.acquire("nobody_at_all")
    assert pool.open == 0
    await pool.close()
