"""The states by which it is known that definitions have changed."""

import asyncio

from psycopg import AsyncConnection

from fhir_server.storage.definition_state import bump, states
from fhir_server.storage.store import Connection


async def test_a_write_gives_its_types_another_state_and_no_others(
    connection: Connection,
) -> None:
    await bump(connection, "default", ["ValueSet", "CodeSystem"])
    before = await states(connection, "default")
    await bump(connection, "default", ["ValueSet"])
    after = await states(connection, "default")
    assert before["ValueSet"] != after["ValueSet"]
    assert before["CodeSystem"] == after["CodeSystem"]


async def test_a_state_that_was_rolled_back_never_comes_back(connection: Connection) -> None:
    seen = set()
    for _ in range(3):
        async with connection.transaction(force_rollback=True):
            await bump(connection, "default", ["ValueSet"])
            seen.add((await states(connection, "default"))["ValueSet"])
    async with connection.transaction():
        for _ in range(2):
            async with connection.transaction(force_rollback=True):
                await bump(connection, "default", ["ValueSet"])
                seen.add((await states(connection, "default"))["ValueSet"])
        await bump(connection, "default", ["ValueSet"])
        seen.add((await states(connection, "default"))["ValueSet"])
    assert len(seen) == 6


async def test_a_state_changes_when_the_write_is_committed(
    connection: Connection, other_connection: Connection
) -> None:
    before = await states(connection, "default")
    async with connection.transaction():
        await bump(connection, "default", ["ConceptMap"])
        assert await states(other_connection, "default") == before
    assert await states(other_connection, "default") != before


async def test_writers_at_once_all_change_the_state(database: str) -> None:
    async def write() -> str:
        async with await AsyncConnection.connect(database, autocommit=True) as connection:
            await bump(connection, "default", ["ValueSet"])
            return (await states(connection, "default"))["ValueSet"]

    seen = await asyncio.gather(*(write() for _ in range(12)))
    assert len(set(seen)) > 1
