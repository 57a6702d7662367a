"""Numbers that never repeat."""

import asyncio
from contextlib import suppress

from psycopg import AsyncConnection

from fhir_server.storage.counters import take
from fhir_server.storage.migrate import migrate
from fhir_server.storage.store import Connection


async def test_numbers_begin_with_1_and_go_on_in_each_scope(connection: Connection) -> None:
    assert await take(connection, "default", "order", "2025") == range(1, 2)
    assert await take(connection, "default", "order", "2025", count=3) == range(2, 5)
    assert await take(connection, "default", "order", "2026") == range(1, 2)
    assert await take(connection, "default", "invoice", "2025") == range(1, 2)
    assert await take(connection, "default", "order", "2025") == range(5, 6)


async def test_parallel_writers_never_get_the_same_number(database: str) -> None:
    async def writer() -> list[int]:
        async with await AsyncConnection.connect(database, autocommit=True) as connection:
            taken: list[int] = []
            for count in (1, 2, 3, 1, 5):
                taken.extend(await take(connection, "default", "race", "x", count=count))
            return taken

    taken = [
        number for part in await asyncio.gather(*(writer() for _ in range(8))) for number in part
    ]
    assert sorted(taken) == list(range(1, 8 * 12 + 1))


async def test_a_transaction_that_fails_gives_its_numbers_back(connection: Connection) -> None:
    """Gapless numbers, such as those of invoices, are taken in the transaction that uses them."""
    with suppress(RuntimeError):
        async with connection.transaction():
            assert await take(connection, "default", "gapless", "x") == range(1, 2)
            raise RuntimeError
    assert await take(connection, "default", "gapless", "x") == range(1, 2)


async def test_tenants_count_for_themselves(connection: Connection, database: str) -> None:
    migrate(database, "north")
    await take(connection, "default", "tenant", "x", count=5)
    assert await take(connection, "north", "tenant", "x") == range(1, 2)


async def test_numbers_go_on_past_every_width(connection: Connection) -> None:
    await take(connection, "default", "wide", "x", count=99_999)
    assert await take(connection, "default", "wide", "x") == range(100_000, 100_001)
