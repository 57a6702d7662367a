"""Replacing what resources are found by, beside writers."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection

from fhir_server.search.entries import IndexEntries
from fhir_server.storage import reindex, resources
from fhir_server.storage.resources import Written
from fhir_server.storage.statements import statements_for
from fhir_server.storage.store import Connection

STATEMENTS = statements_for("default")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FULL = IndexEntries(
    keys=[1, 2],
    targets=[3],
    strings=[(1, "a"), (1, "b")],
    dates=[(2, 10, 20)],
    numbers=[(3, 0, Decimal("1.5"), Decimal("2"))],
)


def written(rid: int, version: int, values: IndexEntries) -> Written:
    content = b'{"resourceType":"Basic","id":"r%d"}' % rid
    return Written(rid, "Basic", f"r{rid}", version, NOW, "PUT", content, rid, values)


async def entries(connection: Connection, rid: int) -> dict[str, Any]:
    cursor = await connection.execute(
        "select keys, targets from tenant_default.resource where rid = %s", (rid,)
    )
    found: dict[str, Any] = {"resource": await cursor.fetchall()}
    for table in ("string_value", "date_value", "number_value"):
        cursor = await connection.execute(
            f"select * from tenant_default.{table} where rid = %s order by 2, 3", (rid,)
        )
        found[table] = [row[1:] for row in await cursor.fetchall()]
    return found


def expected(values: IndexEntries) -> dict[str, Any]:
    return {
        "resource": [(values.keys, values.targets)],
        "string_value": values.strings,
        "date_value": values.dates,
        "number_value": values.numbers,
    }


async def read_anew(connection: Connection, rid: int, values: IndexEntries) -> None:
    rows = await reindex.following(connection, "default", "Basic", rid - 1, rid, 1)
    async with connection.transaction():
        await reindex.replace_entries(connection, "default", [(row, values) for row in rows])


async def test_entries_are_replaced_in_all_tables_and_no_version_is_made(
    connection: Connection,
) -> None:
    assert await resources.create(connection, STATEMENTS, written(1, 1, FULL))
    assert await resources.create(connection, STATEMENTS, written(2, 1, FULL))
    other = IndexEntries(
        keys=[2, 5], strings=[(1, "b"), (4, "c")], numbers=[(3, 0, Decimal("7"), Decimal("7"))]
    )
    await read_anew(connection, 1, other)
    assert await entries(connection, 1) == expected(other)
    assert await entries(connection, 2) == expected(FULL)
    await read_anew(connection, 1, FULL)
    assert await entries(connection, 1) == expected(FULL)
    current = await resources.current(connection, STATEMENTS, "Basic", "r1")
    assert current is not None
    assert (current.version, current.last_updated) == (1, NOW)


async def test_a_version_written_meanwhile_keeps_its_entries(connection: Connection) -> None:
    assert await resources.create(connection, STATEMENTS, written(10, 1, FULL))
    rows = await reindex.following(connection, "default", "Basic", 9, 10, 1)
    newer = IndexEntries(keys=[8], strings=[(1, "new")])
    assert await resources.replace(connection, STATEMENTS, written(10, 2, newer), 1)
    async with connection.transaction():
        await reindex.replace_entries(connection, "default", [(row, FULL) for row in rows])
    assert await entries(connection, 10) == expected(newer)


async def test_an_update_that_waits_for_the_row_leaves_none_of_the_values_read_anew(
    connection: Connection, other_connection: Connection, database: str
) -> None:
    only_numbers = IndexEntries(keys=FULL.keys, targets=FULL.targets, numbers=[(9, 0, 1, 1)])  # type: ignore[list-item]
    assert await resources.create(connection, STATEMENTS, written(20, 1, FULL))
    newer = IndexEntries(keys=[8], strings=[(1, "new")])
    rows = await reindex.following(connection, "default", "Basic", 19, 20, 1)
    async with connection.transaction():
        await reindex.replace_entries(connection, "default", [(rows[0], only_numbers)])
        update = asyncio.create_task(
            resources.replace(other_connection, STATEMENTS, written(20, 2, newer), 1)
        )
        await until_blocked(database)
    assert not await update, "an update overlooked that the row is another one now"
    assert await resources.replace(other_connection, STATEMENTS, written(20, 2, newer), 1)
    assert await entries(connection, 20) == expected(newer)


async def until_blocked(database: str) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        async with asyncio.timeout(5):
            while True:
                cursor = await connection.execute("select count(*) from pg_locks where not granted")
                if await cursor.fetchone() != (0,):
                    return
                await asyncio.sleep(0.01)


async def test_deleted_resources_and_other_types_are_not_read(connection: Connection) -> None:
    assert await resources.create(connection, STATEMENTS, written(30, 1, FULL))
    deletion = Written(30, "Basic", "r30", 2, NOW, "DELETE", None, 30, resources.deleted_values())
    assert await resources.replace(connection, STATEMENTS, deletion, 1)
    assert await reindex.following(connection, "default", "Basic", 29, 30, 9) == []
    assert await reindex.following(connection, "default", "Patient", 0, 99, 9) == []
    extent = await reindex.extent(connection, "default", ["Basic", "Patient"])
    assert extent.counts == {"Basic": 4}
    assert extent.end == 20
