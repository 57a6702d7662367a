"""Numbers in blocks, and who holds them."""

import asyncio
import multiprocessing
from contextlib import suppress

import psycopg
from psycopg import AsyncConnection

from fhir_server.storage.counters import take
from fhir_server.storage.migrate import migrate
from fhir_server.storage.numbers import Blocks, Claim, claim
from fhir_server.storage.store import Connection
from tests.conftest import fresh_database
from tests.storage.numbering import take_many

S = "http://example.org/numbers"


async def test_ord_1_a_process_gives_out_its_block_before_it_takes_another(
    connection: Connection,
) -> None:
    blocks, others = Blocks(3), Blocks(3)
    await blocks.fill(connection, "default", "2026", {"block": 1})
    await others.fill(connection, "default", "2026", {"block": 1})
    assert await blocks.next(connection, "default", "2026", "block", 2) == [1, 2]
    assert await others.next(connection, "default", "2026", "block", 1) == [4]
    assert await blocks.next(connection, "default", "2026", "block", 1) == [3]
    await blocks.fill(connection, "default", "2026", {"block": 1})
    assert await blocks.next(connection, "default", "2026", "block", 1) == [7]


async def test_ord_1_what_a_block_lacks_is_taken_in_the_transaction(connection: Connection) -> None:
    blocks = Blocks(2)
    await blocks.fill(connection, "default", "2026", {"short": 1})
    assert blocks.lacks("default", "2026", {"short": 3})
    with suppress(RuntimeError):
        async with connection.transaction():
            assert await blocks.next(connection, "default", "2026", "short", 4) == [1, 2, 3, 4]
            raise RuntimeError
    assert await take(connection, "default", "short", "2026") == range(3, 4)


async def test_ord_1_numbers_start_again_in_another_scope(connection: Connection) -> None:
    blocks = Blocks()
    for year in ("2030", "2031"):
        await blocks.fill(connection, "default", year, {"yearly": 1})
        assert await blocks.next(connection, "default", year, "yearly", 1) == [1]


async def test_ord_1_a_number_has_one_holder(connection: Connection) -> None:
    first, second = Claim(S, "1", "ServiceRequest/a"), Claim(S, "2", "ServiceRequest/b")
    assert await claim(connection, "default", [first]) == {(S, "1"): "ServiceRequest/a"}
    again = [first, second, Claim(S, "1", "ServiceRequest/b")]
    assert await claim(connection, "default", again) == {
        (S, "1"): "ServiceRequest/a",
        (S, "2"): "ServiceRequest/b",
    }


async def test_ord_1_one_number_claimed_twice_at_once_has_one_holder(database: str) -> None:
    async with (
        await AsyncConnection.connect(database, autocommit=True) as first,
        await AsyncConnection.connect(database, autocommit=True) as second,
    ):
        async with first.transaction():
            await claim(first, "default", [Claim(S, "at once", "ServiceRequest/a")])
            other = asyncio.create_task(
                claim(second, "default", [Claim(S, "at once", "ServiceRequest/b")])
            )
            await asyncio.sleep(0.1)
            assert not other.done()
        assert await other == {(S, "at once"): "ServiceRequest/a"}


async def test_ord_1_a_transaction_that_fails_leaves_its_numbers_free(
    connection: Connection,
) -> None:
    with suppress(RuntimeError):
        async with connection.transaction():
            await claim(connection, "default", [Claim(S, "left", "ServiceRequest/a")])
            raise RuntimeError
    free = await claim(connection, "default", [Claim(S, "left", "ServiceRequest/b")])
    assert free == {(S, "left"): "ServiceRequest/b"}


def test_ord_1_processes_never_give_out_the_same_number(database: str) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[list[int]] = context.Queue()
    processes = [context.Process(target=take_many, args=(database, answers)) for _ in range(4)]
    for each in processes:
        each.start()
    found = [answers.get(timeout=60) for _ in processes]
    for each in processes:
        each.join()
    every = [number for numbers in found for number in numbers]
    assert len(every) == len(set(every)) == 800
    assert all(numbers == sorted(numbers) for numbers in found)


def test_the_table_comes_to_a_database_with_data(postgres: str) -> None:
    with fresh_database(postgres, "migrate_numbers") as url:
        migrate(url, to="0002")
        with psycopg.connect(url) as connection:
            connection.execute("insert into tenant_default.counter values ('order', '2026', 7)")
        migrate(url)
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "select c.value, n.value from tenant_default.counter c "
                "left join tenant_default.claimed_number n on true"
            ).fetchall()
    assert rows == [(7, None)]
