"""Events to hand on, written in the transaction of the change they tell of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """A change of one resource; `position` orders the events of a topic."""

    position: int
    topic: str
    type: str
    id: str
    version: int


async def publish(
    connection: Connection,
    tenant: str,
    topic: str,
    version: tuple[str, str, int],
    now: datetime,
) -> None:
    """Record that a version (type, id, number) came to be, in the caller's transaction."""
    schema = schema_name(tenant)
    await connection.execute(
        f"insert into {schema}.outbox (topic, type, id, version, recorded) "
        "values (%s, %s, %s, %s, %s)",
        (topic, *version, now),
    )
    await connection.execute("select pg_notify(%s, %s)", (f"{schema}_outbox", topic))


async def pending(
    connection: Connection, tenant: str, topic: str, *, limit: int
) -> Sequence[Event]:
    """The oldest events not handed on yet, locked until the caller's transaction ends."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"select position, topic, type, id, version from {schema}.outbox "
        "where topic = %s and not delivered order by position limit %s for update skip locked",
        (topic, limit),
    )
    return [Event(*row) for row in await cursor.fetchall()]


async def delivered(connection: Connection, tenant: str, events: Sequence[Event]) -> None:
    """Mark events as handed on."""
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.outbox set delivered = true where position = any(%s)",
        ([event.position for event in events],),
    )
