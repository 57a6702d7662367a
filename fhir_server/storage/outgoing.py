"""HL7 v2 messages to be sent: queued with what they tell of, in order by destination."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.seal import Seal
from fhir_server.storage.store import Connection

QUEUED, SENT, FAILED = "queued", "sent", "failed"
TOPIC = "hl7v2"


@dataclass(frozen=True, slots=True)
class Queued:
    """A message to be sent; `about` tells of what, as `Type/id/_history/n`."""

    id: int
    record: str
    destination: str
    control_id: str
    type: str
    about: list[str]
    content: bytes
    created: datetime
    state: str
    attempts: int
    due: datetime
    acknowledgement: bytes | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A version that came to be; `origin` is the system whose message made it, if one did."""

    position: int
    type: str
    id: str
    version: int
    origin: str | None


_QUEUED = ", ".join(each.name for each in fields(Queued))


async def watch(connection: Connection, tenant: str, types: Collection[str]) -> None:
    """Let every change of some types be noted in the outbox, by whatever way it is written.

    connection: to what is no tenant's. There is a trigger, which only the owner of the table may
    make, so a function of the owner's does.
    """
    await connection.execute(
        "select fhir_server.watch_changes(%s, %s, %s)", (tenant, TOPIC, sorted(types))
    )


async def changes(connection: Connection, tenant: str, *, limit: int) -> list[Changed] | None:
    """The oldest changes that nobody has looked at, which this transaction alone has now.

    None when another transaction has them.
    """
    schema = schema_name(tenant)
    cursor = await connection.execute(
        "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (f"{schema}|outbox|{TOPIC}",)
    )
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    cursor = await connection.execute(
        f"select position, type, id, version, origin from {schema}.outbox "
        "where topic = %s and not delivered order by position limit %s",
        (TOPIC, limit),
    )
    return [Changed(*each) for each in await cursor.fetchall()]


async def looked_at(connection: Connection, tenant: str, found: Sequence[Changed]) -> None:
    """Forget changes that have been looked at."""
    await connection.execute(
        f"delete from {schema_name(tenant)}.outbox where position = any(%s)",
        ([each.position for each in found],),
    )


def _sealed(message: Queued, seal: Seal | None) -> bytes:
    if seal is None:
        return message.content
    return seal.seal_message(message.record, message.content)


async def enqueue(connection: Connection, tenant: str, message: Queued, seal: Seal | None) -> None:
    """Queue a message for its destination, in the caller's transaction.

    One that could not be made is parked at once, without content. seal: what that goes through.
    """
    await connection.execute(
        f"insert into {schema_name(tenant)}.outgoing_message "
        "(record, destination, control_id, type, about, content, created, state, due, reason) "
        "values (%s, %s, %s, %s, %s, %b, %s, %s, %s, %s)",
        (message.record, message.destination, message.control_id, message.type, message.about,
         _sealed(message, seal), message.created, message.state, message.due, message.reason),
    )  # fmt: skip


async def hold(connection: Connection, tenant: str, destination: str) -> bool:
    """Have a destination for oneself as long as a connection lasts; False if somebody else has."""
    cursor = await connection.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 0))",
        (f"{schema_name(tenant)}|destination|{destination}",),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


def _opened(row: tuple[Any, ...] | None, seal: Seal | None) -> Queued | None:
    found = Queued(*row) if row else None
    if found is None or seal is None:
        return found
    return replace(found, content=seal.open_message(found.record, found.content))


async def next_for(
    connection: Connection, tenant: str, destination: str, seal: Seal | None
) -> Queued | None:
    """The oldest message that waits for a destination, even if it is not due yet."""
    cursor = await connection.execute(
        f"select {_QUEUED} from {schema_name(tenant)}.outgoing_message "
        "where destination = %s and state = 'queued' order by id limit 1",
        (destination,),
    )
    return _opened(await cursor.fetchone(), seal)


async def finish(
    connection: Connection,
    tenant: str,
    id_: int,
    state: str,
    acknowledgement: bytes | None,
    reason: str | None,
    now: datetime,
) -> bool:
    """Say what became of a message; False when it does not wait any more."""
    cursor = await connection.execute(
        f"update {schema_name(tenant)}.outgoing_message set state = %s, acknowledgement = %b, "
        "reason = %s, finished = %s, attempts = attempts + 1 where id = %s and state = 'queued'",
        (state, acknowledgement, reason, now, id_),
    )
    return cursor.rowcount == 1


async def put_off(
    connection: Connection, tenant: str, id_: int, due: datetime, reason: str, *, counts: bool
) -> None:
    """Try a message again later.

    counts: whether that was one of the attempts after which it is parked.
    """
    await connection.execute(
        f"update {schema_name(tenant)}.outgoing_message set attempts = attempts + %s, due = %s, "
        "reason = %s where id = %s and state = 'queued'",
        (int(counts), due, reason, id_),
    )


async def backlog(connection: Connection, tenant: str) -> dict[tuple[str, str], int]:
    """How many messages wait and are parked, by destination and state."""
    table = f"{schema_name(tenant)}.outgoing_message"
    cursor = await connection.execute(
        f"select destination, state, count(*) from {table} where state = 'queued' group by 1, 2 "
        "union all "
        f"select destination, state, count(*) from {table} where state = 'failed' group by 1, 2"
    )
    return {(destination, state): count for destination, state, count in await cursor.fetchall()}


async def write(connection: Connection, tenant: str, message: Queued, seal: Seal | None) -> None:
    """Give a message, which could not be written when it was queued, what it says.

    seal: what its content goes through.
    """
    await connection.execute(
        f"update {schema_name(tenant)}.outgoing_message set control_id = %s, type = %s, "
        "content = %b where id = %s and state = 'queued'",
        (message.control_id, message.type, _sealed(message, seal), message.id),
    )


async def by_record(
    connection: Connection, tenant: str, record: str, seal: Seal | None
) -> Queued | None:
    """The message that a FHIR record tells of; None if there is none, or none any more."""
    cursor = await connection.execute(
        f"select {_QUEUED} from {schema_name(tenant)}.outgoing_message where record = %s", (record,)
    )
    return _opened(await cursor.fetchone(), seal)


async def parked(connection: Connection, tenant: str, *, most: int) -> list[str]:
    """The records of messages that could not be sent, the oldest first."""
    cursor = await connection.execute(
        f"select record from {schema_name(tenant)}.outgoing_message where state = 'failed' "
        "order by id limit %s",
        (most,),
    )
    return [row[0] for row in await cursor.fetchall()]


async def replay(
    connection: Connection, tenant: str, records: Sequence[str], now: datetime
) -> list[str]:
    """Let messages wait to be sent again; gives those that do."""
    cursor = await connection.execute(
        f"update {schema_name(tenant)}.outgoing_message set state = 'queued', attempts = 0, "
        "due = %s, finished = null where record = any(%s) and state <> 'queued' returning record",
        (now, list(records)),
    )
    return [row[0] for row in await cursor.fetchall()]


async def forget(connection: Connection, tenant: str, before: datetime, *, most: int) -> int:
    """Delete messages that were sent before a time; gives how many."""
    table = f"{schema_name(tenant)}.outgoing_message"
    cursor = await connection.execute(
        f"delete from {table} where id in (select id from {table} "
        "where state = 'sent' and finished < %s limit %s)",
        (before, most),
    )
    return cursor.rowcount
