"""Replacing what resources are found by, beside writers."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection

from fhir_server.search.entries import IndexEntries
from fhir_server.storage import reindex, resources
from fhir_server.storage.reindex import Row
from fhir_server.storage.resources import Contained, Written
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
    contained=[
        Contained(1, "Patient", "p", 70, [4, 5], [6]),
        Contained(2, "Patient", "", 71, [], []),
    ],
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
    cursor = await connection.execute(
        "select place, type, id, reference_key, keys, targets from tenant_default.contained "
        "where container = %s order by place",
        (rid,),
    )
    found["contained"] = [Contained(*row) for row in await cursor.fetchall()]
    return found


def expected(values: IndexEntries) -> dict[str, Any]:
    return {
        "resource": [(values.keys, values.targets)],
        "string_value": values.strings,
        "date_value": values.dates,
        "number_value": values.numbers,
        "contained": values.contained,
    }


async def following(
    connection: Connection, type_: str, after: int, end: int, most: int, *, containers: bool = True
) -> list[Row]:
    return await reindex.following(
        connection, "default", type_, after, end, most, containers=containers
    )


async def read_anew(connection: Connection, rid: int, values: IndexEntries) -> None:
    rows = await following(connection, "Basic", rid - 1, rid, 1)
    async with connection.transaction():
        await reindex.replace_entries(connection, "default", [(row, values) for row in rows])


async def test_entries_are_replaced_in_all_tables_and_no_version_is_made(
    connection: Connection,
) -> None:
    assert await resources.create(connection, STATEMENTS, written(1, 1, FULL))
    assert await resources.create(connection, STATEMENTS, written(2, 1, FULL))
    other = IndexEntries(
        keys=[2, 5],
        strings=[(1, "b"), (4, "c")],
        numbers=[(3, 0, Decimal("7"), Decimal("7"))],
        contained=[Contained(1, "Patient", "p", 70, [4], [6])],
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
    rows = await following(connection, "Basic", 9, 10, 1)
    newer = IndexEntries(
        keys=[8], strings=[(1, "new")], contained=[Contained(1, "Group", "g", 72, [9], [])]
    )
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
    rows = await following(connection, "Basic", 19, 20, 1)
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
        async with asyncio.timeout(20):
            while True:
                cursor = await connection.execute("select count(*) from pg_locks where not granted")
                if await cursor.fetchone() != (0,):
                    return
                await asyncio.sleep(0.01)


async def test_deleted_resources_and_other_types_are_not_read(connection: Connection) -> None:
    assert await resources.create(connection, STATEMENTS, written(30, 1, FULL))
    deletion = Written(30, "Basic", "r30", 2, NOW, "DELETE", None, 30, resources.deleted_values())
    assert await resources.replace(connection, STATEMENTS, deletion, 1)
    assert await following(connection, "Basic", 29, 30, 9) == []
    assert await following(connection, "Device", 0, 99, 9) == []
    extent = await reindex.extent(connection, "default", ["Basic", "Device"], containers=True)
    assert extent.counts == {"Basic": 4}
    assert extent.end == 20


async def test_what_contains_one_of_a_type_is_read_for_it_in_order_and_once(
    connection: Connection,
) -> None:
    inside = {
        40: [("Device", "a")],
        41: [("Media", "a")],
        42: [("Media", "a"), ("Device", "b"), ("Device", "c")],
        43: [("Media", "b"), ("Device", "d")],
    }
    for rid, items in inside.items():
        contained = [
            Contained(place, type_, id_, rid, [], []) for place, (type_, id_) in enumerate(items, 1)
        ]
        row = written(rid, 1, IndexEntries(contained=contained))
        assert await resources.create(connection, STATEMENTS, row)

    async def read(after: int, end: int, most: int, **how: bool) -> list[int]:
        rows = await following(connection, "Device", after, end, most, **how)
        return [row.rid for row in rows]

    assert await read(0, 99, 9) == [40, 42, 43]
    assert await read(0, 99, 2) == [40, 42]
    assert await read(40, 99, 2) == [42, 43]
    assert await read(0, 42, 9) == [40, 42]
    assert await read(0, 99, 9, containers=False) == []
    found = await reindex.extent(connection, "default", ["Device", "Media"], containers=True)
    assert (found.counts, found.end) == ({"Device": 3, "Media": 3}, 43)
    found = await reindex.extent(connection, "default", ["Device", "Media"], containers=False)
    assert (found.counts, found.end) == ({}, 0)
