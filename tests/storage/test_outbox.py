"""Events handed on in the order of their changes."""

from datetime import UTC, datetime

from fhir_server.storage.outbox import Event, delivered, pending, publish
from fhir_server.storage.store import Connection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def publish_all(connection: Connection, topic: str, count: int) -> None:
    for number in range(1, count + 1):
        await publish(connection, "default", topic, ("Task", "t", number), NOW)


async def pending_versions(connection: Connection, topic: str, limit: int = 100) -> list[int]:
    events = await pending(connection, "default", topic, limit=limit)
    return [event.version for event in events]


async def test_events_come_in_order_until_they_are_delivered(connection: Connection) -> None:
    await publish_all(connection, "ordered", 5)
    await publish_all(connection, "another", 1)
    first = await pending(connection, "default", "ordered", limit=2)
    assert first[0] == Event(first[0].position, "ordered", "Task", "t", 1)
    assert [event.version for event in first] == [1, 2]
    await delivered(connection, "default", first)
    assert await pending_versions(connection, "ordered") == [3, 4, 5]
    assert await pending_versions(connection, "another") == [1]


async def test_what_was_not_marked_is_handed_on_again(connection: Connection) -> None:
    await publish_all(connection, "again", 2)
    assert await pending_versions(connection, "again") == [1, 2]
    assert await pending_versions(connection, "again") == [1, 2]


async def test_two_workers_never_hold_the_same_event(
    connection: Connection, other_connection: Connection
) -> None:
    await publish_all(connection, "shared", 4)
    async with connection.transaction():
        mine = await pending(connection, "default", "shared", limit=2)
        async with other_connection.transaction():
            theirs = await pending(other_connection, "default", "shared", limit=4)
            assert [event.version for event in theirs] == [3, 4]
        await delivered(connection, "default", mine)
    assert await pending_versions(connection, "shared") == [3, 4]


async def test_a_commit_wakes_who_listens(
    connection: Connection, other_connection: Connection
) -> None:
    await other_connection.execute("listen tenant_default_outbox")
    async with connection.transaction():
        await publish_all(connection, "wake", 1)
    notices = [notice async for notice in other_connection.notifies(timeout=20, stop_after=1)]
    assert [notice.payload for notice in notices] == ["wake"]
