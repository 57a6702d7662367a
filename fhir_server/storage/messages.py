"""HL7 v2 messages as they came: stored before anybody answers, carried out in order by sender."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, auto
from typing import Any

from psycopg.types.json import Jsonb

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

RECEIVED, DONE, IGNORED, ERROR = "received", "done", "ignored", "error"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to be stored.

    record: id of the FHIR record that will tell of it. sender: whose messages keep their order.
    acknowledgement: what is answered once it is stored; None where the answer comes later.
    """

    record: str
    listener: str
    peer: str
    sender: str
    application: str
    facility: str
    receiving_application: str
    receiving_facility: str
    message_time: str
    type: str
    control_id: str
    processing_id: str
    version: str
    charset: str
    content: bytes
    sha256: bytes
    received: datetime
    state: str = RECEIVED
    acknowledgement: bytes | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A stored message.

    answer: the application acknowledgement of enhanced mode. produced: `Type/id/_history/n`.
    """

    id: int
    record: str
    listener: str
    peer: str
    sender: str
    application: str
    facility: str
    message_time: str
    type: str
    control_id: str
    version: str
    charset: str
    content: bytes
    received: datetime
    state: str
    attempts: int
    finished: datetime | None
    acknowledgement: bytes | None
    answer: bytes | None
    reason: str | None
    issues: list[dict[str, Any]] | None
    produced: list[str] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message.

    acknowledgement: None leaves what was answered when it came.
    """

    state: str
    acknowledgement: bytes | None = None
    answer: bytes | None = None
    reason: str | None = None
    issues: Sequence[dict[str, Any]] = ()
    produced: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """Whether a message is new, and what was answered if it is not."""

    id: int
    new: bool
    state: str = RECEIVED
    acknowledgement: bytes | None = None
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender of a message is told when it is carried out, by its mode."""

    acknowledgement: bytes | None = None
    answer: bytes | None = None


_ARRIVAL = tuple(each.name for each in fields(Arrival))
_HELD = ", ".join(each.name for each in fields(Held))


async def store(connection: Connection, tenant: str, arrival: Arrival) -> Stored:
    """Store a message, unless the very same one with the same control id is here already."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"insert into {schema}.message ({', '.join(_ARRIVAL)}) "
        f"values ({', '.join(['%b' if name in _BINARY else '%s' for name in _ARRIVAL])}) "
        "on conflict (application, facility, control_id, sha256) where control_id <> '' "
        "do nothing returning id",
        _values(arrival),
    )
    row = await cursor.fetchone()
    if row is not None:
        return Stored(row[0], True, arrival.state, arrival.acknowledgement)
    cursor = await connection.execute(
        f"select id, false, state, acknowledgement, answer from {schema}.message "
        "where application = %s and facility = %s and control_id = %s and sha256 = %s "
        "and control_id <> ''",
        (arrival.application, arrival.facility, arrival.control_id, arrival.sha256),
    )
    row = await cursor.fetchone()
    if row is None:  # Deleted this moment, since it was old.
        return await store(connection, tenant, arrival)
    return Stored(*row)


_BINARY = frozenset({"content", "sha256", "acknowledgement"})


def _values(arrival: Arrival) -> tuple[Any, ...]:
    return tuple(getattr(arrival, name) for name in _ARRIVAL)


async def peek(connection: Connection, tenant: str, sender: str) -> Held | None:
    """The oldest message of a sender that waits; somebody else may be at it."""
    cursor = await connection.execute(
        f"select {_HELD} from {schema_name(tenant)}.message "
        "where sender = %s and state = 'received' order by id limit 1",
        (sender,),
    )
    row = await cursor.fetchone()
    return Held(*row) if row else None


class Begun(Enum):
    """How it stands with a message when a transaction begins to carry it out."""

    READY = auto()
    REUSED = auto()
    """It is, and an earlier message of other content had its control id."""
    ELSEWHERE = auto()
    """Another worker carries out a message of this sender."""
    OVER = auto()
    """It does not wait any more, or an older one does."""


async def begin(connection: Connection, tenant: str, held: Held) -> Begun:
    """Have a sender's messages for oneself until the transaction ends, to carry out the oldest."""
    schema = schema_name(tenant)
    async with connection.pipeline():
        lock = await connection.execute(
            "select pg_try_advisory_xact_lock(hashtextextended(%s, 0)), "
            "set_config('fhir_server.origin', %s, true)",
            (f"{schema}|{held.sender}", f"{held.application}|{held.facility}"),
        )
        # A statement of its own, so that it sees what was committed before the lock was had.
        oldest = await connection.execute(
            f"select id, control_id <> '' and exists (select from {schema}.message e "
            "where e.application = m.application and e.facility = m.facility "
            "and e.control_id = m.control_id and e.control_id <> '' and e.id < m.id) "
            f"from {schema}.message m where sender = %s and state = 'received' "
            "order by id limit 1",
            (held.sender,),
        )
    locked, row = await lock.fetchone(), await oldest.fetchone()
    if locked is None or not locked[0]:
        return Begun.ELSEWHERE
    if row is None or row[0] != held.id:
        return Begun.OVER
    return Begun.REUSED if row[1] else Begun.READY


async def finish(
    connection: Connection, tenant: str, id_: int, outcome: Outcome, now: datetime
) -> bool:
    """Say what became of a message, in the transaction of its effect.

    False when it does not wait any more: then the caller undoes the effect.
    """
    cursor = await connection.execute(
        f"update {schema_name(tenant)}.message set state = %s, finished = %s, "
        "attempts = attempts + 1, acknowledgement = coalesce(%b, acknowledgement), answer = %b, "
        "reason = %s, issues = %s, produced = %s where id = %s and state = 'received'",
        (outcome.state, now, outcome.acknowledgement, outcome.answer, outcome.reason,
         Jsonb(list(outcome.issues)), list(outcome.produced), id_),
    )  # fmt: skip
    return cursor.rowcount == 1


async def postpone(connection: Connection, tenant: str, id_: int, reason: str) -> None:
    """Count an attempt that failed for a reason that may pass."""
    await connection.execute(
        f"update {schema_name(tenant)}.message set attempts = attempts + 1, reason = %s "
        "where id = %s and state = 'received'",
        (reason, id_),
    )


async def told(connection: Connection, tenant: str, ids: Sequence[int]) -> dict[int, Told]:
    """What is told to the senders of those messages that do not wait any more."""
    cursor = await connection.execute(
        f"select id, acknowledgement, answer from {schema_name(tenant)}.message "
        "where id = any(%s) and state <> 'received'",
        (list(ids),),
    )
    return {row[0]: Told(row[1], row[2]) for row in await cursor.fetchall()}


async def waiting_senders(connection: Connection, tenant: str) -> list[str]:
    """The senders that have messages to be carried out; one step in the index each."""
    table = f"{schema_name(tenant)}.message"
    cursor = await connection.execute(
        f"with recursive found (sender) as ((select sender from {table} "
        "where state = 'received' order by sender limit 1) union all "
        f"select (select m.sender from {table} m where m.state = 'received' "
        "and m.sender > found.sender order by m.sender limit 1) "
        "from found where found.sender is not null) "
        "select sender from found where sender is not null"
    )
    return [row[0] for row in await cursor.fetchall()]


async def by_record(connection: Connection, tenant: str, record: str) -> Held | None:
    """The message that a FHIR record tells of; None if there is none, or none any more."""
    cursor = await connection.execute(
        f"select {_HELD} from {schema_name(tenant)}.message where record = %s", (record,)
    )
    row = await cursor.fetchone()
    return Held(*row) if row else None


async def message_times(
    connection: Connection, tenant: str, records: Sequence[str]
) -> dict[str, str]:
    """When messages were sent (MSH-7), by their records."""
    cursor = await connection.execute(
        f"select record, message_time from {schema_name(tenant)}.message where record = any(%s)",
        (list(records),),
    )
    return {record: time for record, time in await cursor.fetchall() if time}


async def parked(
    connection: Connection, tenant: str, sender: str | None, *, most: int
) -> list[str]:
    """The records of messages in error, of one sender if one is named, the oldest first."""
    cursor = await connection.execute(
        f"select record from {schema_name(tenant)}.message where state = 'error' "
        "and (%(sender)s::text is null or sender = %(sender)s) order by id limit %(most)s",
        {"sender": sender, "most": most},
    )
    return [row[0] for row in await cursor.fetchall()]


async def replay(connection: Connection, tenant: str, records: Sequence[str]) -> list[str]:
    """Let messages wait again, to be carried out anew; gives those that do."""
    cursor = await connection.execute(
        f"update {schema_name(tenant)}.message set state = 'received', attempts = 0, "
        "finished = null where record = any(%s) and state <> 'received' and type <> '' "
        "returning record",
        (list(records),),
    )
    return [row[0] for row in await cursor.fetchall()]


async def wait_again(connection: Connection, tenant: str, id_: int) -> None:
    """Let a message that is parked be carried out once more: its sender sent it again."""
    await connection.execute(
        f"update {schema_name(tenant)}.message set state = 'received', attempts = 0, "
        "finished = null where id = %s and state = 'error'",
        (id_,),
    )


async def waiting(connection: Connection, tenant: str) -> int:
    """How many messages wait to be carried out."""
    cursor = await connection.execute(
        f"select count(*) from {schema_name(tenant)}.message where state = 'received'"
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def forget(connection: Connection, tenant: str, before: datetime, *, most: int) -> int:
    """Delete messages that were done with before a time; gives how many."""
    table = f"{schema_name(tenant)}.message"
    cursor = await connection.execute(
        f"delete from {table} where id in (select id from {table} "
        "where state in ('done', 'ignored') and finished < %s limit %s)",
        (before, most),
    )
    return cursor.rowcount
