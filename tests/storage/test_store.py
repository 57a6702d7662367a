"""Connections, and what a database that fails means to a client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import pytest

from fhir_server.outcome import Conflict, Refusal, Unavailable
from fhir_server.storage.store import PooledStore
from tests.conftest import free_port


@pytest.fixture
async def store(database: str) -> AsyncIterator[PooledStore]:
    """A small pool."""
    found = PooledStore(database, size=2, statement_timeout=0.3, acquire_timeout=0.3)
    await found.open()
    yield found
    await found.close()


async def refusal_of(store: PooledStore, statement: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        async with store.connection("default") as connection:
            await connection.execute(statement)
    return caught.value


async def test_a_database_that_is_down_is_unavailable_and_says_when_to_come_back() -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    store = PooledStore(url, size=2, acquire_timeout=0.3)
    await store.open()
    try:
        refusal = await refusal_of(store, "select 1")
        assert isinstance(refusal, Unavailable)
        assert refusal.status == 503
        assert refusal.headers["Retry-After"]
        assert "nobody" not in str(refusal)
    finally:
        await store.close()


async def test_waiting_for_a_connection_has_an_end(store: PooledStore) -> None:
    async with store.connection("default"), store.connection("default"):
        assert isinstance(await refusal_of(store, "select 1"), Unavailable)


async def test_a_slow_statement_is_ended(store: PooledStore) -> None:
    refusal = await refusal_of(store, "select pg_sleep(5)")
    assert isinstance(refusal, Unavailable)
    assert refusal.issues[0].code == "timeout"


@pytest.mark.parametrize("state", ["40001", "40P01", "23505"])
async def test_losing_against_another_writer_is_a_conflict(store: PooledStore, state: str) -> None:
    statement = f"do $$ begin raise exception 'secret' using errcode = '{state}'; end $$"
    refusal = await refusal_of(store, statement)
    assert isinstance(refusal, Conflict)
    assert "secret" not in str(refusal)


@pytest.mark.parametrize("state", ["57P01", "53300", "08006"])
async def test_a_database_that_gives_up_is_unavailable(store: PooledStore, state: str) -> None:
    statement = f"do $$ begin raise exception 'secret' using errcode = '{state}'; end $$"
    assert isinstance(await refusal_of(store, statement), Unavailable)


async def test_a_defect_of_ours_stays_an_error(store: PooledStore) -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        async with store.connection("default") as connection:
            await connection.execute("selekt 1")


async def test_a_transaction_is_undone_when_its_block_fails(store: PooledStore) -> None:
    with suppress(RuntimeError):
        async with store.transaction("default") as connection:
            await connection.execute("insert into tenant_default.counter values ('undone', '', 1)")
            raise RuntimeError
    async with store.connection("default") as connection:
        cursor = await connection.execute(
            "select count(*) from tenant_default.counter where name = 'undone'"
        )
        assert await cursor.fetchone() == (0,)


async def test_row_ids_never_repeat_within_and_between_processes(
    database: str, store: PooledStore
) -> None:
    other = PooledStore(database, size=2)
    await other.open()

    async def take(of: PooledStore, count: int) -> list[int]:
        async with of.connection("default") as connection:
            return await of.row_ids(connection, "default", count)

    try:
        counts = [1, 7, 999, 1000, 1001, 2500, 1]
        taken = [
            number
            for count in counts
            for part in await asyncio.gather(take(store, count), take(other, count))
            for number in part
        ]
    finally:
        await other.close()
    assert len(taken) == len(set(taken)) == 2 * sum(counts)


async def test_row_ids_need_no_second_connection(store: PooledStore) -> None:
    async with store.connection("default") as first, store.connection("default"):
        assert len(await store.row_ids(first, "default", 5000)) == 5000


async def test_a_connection_that_broke_is_replaced(database: str, store: PooledStore) -> None:
    async def broken() -> None:
        async with store.connection("default") as connection:
            with psycopg.connect(database, autocommit=True) as owner:
                owner.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
            await connection.execute("select 1")

    with pytest.raises(Unavailable):
        await broken()
    async with store.connection("default") as connection:
        await connection.execute("select 1")


async def test_a_text_that_a_transaction_finds_there_is_asked_for_once(database: str) -> None:
    text = [(77, "known before")]
    first, second = PooledStore(database, size=2), PooledStore(database, size=2)
    await first.open()
    await second.open()
    try:
        async with first.connection("default") as connection:
            await first.learn(connection, "default", text)
        async with second.transaction("default") as connection:
            await second.learn(connection, "default", [*text, (77, "new")])
            # Another question would fail here.
            await connection.execute("set local role pg_monitor")
            await second.learn(connection, "default", text)
    finally:
        await first.close()
        await second.close()


async def test_a_text_of_a_transaction_that_fails_is_learnt_again(database: str) -> None:
    text = [(78, "not to last")]
    store = PooledStore(database, size=2)
    await store.open()
    try:
        with suppress(RuntimeError):
            async with store.transaction("default") as connection:
                await store.learn(connection, "default", text)
                await store.learn(connection, "default", text)
                raise RuntimeError
        async with store.connection("default") as connection:
            await store.learn(connection, "default", text)
            cursor = await connection.execute(
                "select value from tenant_default.vocabulary where parameter = 78"
            )
            assert await cursor.fetchall() == [("not to last",)]
    finally:
        await store.close()
