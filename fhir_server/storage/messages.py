"""HL7 v2 messages as they came: stored before anybody answers, carried out in order by sender."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

from psycopg.types.json import Jsonb

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.seal import Seal
from fhir_server.storage.store import Connection

RECEIVED, DONE, IGNORED, ERROR = "received", "done", "ignored", "error"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to be stored.

    key: of sender and control id; None without one. sender: whose messages keep their order.
    acknowledgement: what is answered once it is stored; None where the answer comes later.
    """

    key: int | None
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

    def held(self, id_: int) -> "Held":
        """The message as it is stored, before anybody has tried to carry it out."""
        return Held(
            id_, self.listener, self.peer, self.sender, self.application, self.facility,
            self.message_time, self.type, self.control_id, self.version, self.charset,
            self.content, self.received, self.state, 0, None, self.acknowledgement, None, None,
            None, None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """A stored message.

    answer: the application acknowledgement of enhanced mode. produced: `Type/id/_history/n`.
    """

    id: int
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

    @property
    def was_told_of(self) -> bool:
        """Whether it was carried out or parked before, so that a record may tell of it."""
        return self.issues is not None

    @property
    def record(self) -> str:
        """The id of the Communication that tells of it."""
        return f"{_RECORD}{self.id}"


_RECORD = "hl7v2-"


def _id_of(record: str) -> int | None:
    """The message that a record tells of."""
    digits = record.removeprefix(_RECORD)
    is_own = record.startswith(_RECORD) and digits.isascii() and digits.isdigit()
    return int(digits) if is_own and len(digits) < 19 else None


def _ids_of(records: Sequence[str]) -> list[int]:
    return [found for each in records if (found := _id_of(each)) is not None]


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


async def store(
    connection: Connection,
    tenant: str,
    arrivals: Sequence[Arrival],
    *,
    seal: Seal | None,
    lasting: bool = True,
) -> list[Stored]:
    """Store messages in their order by one statement; gives how each of them stands.

    seal: what their contents go through. lasting: whether they are safe when this returns; else
        they are once anything is that commits later, such as what becomes of them. The very same
        message with the same control id is stored once.
    """
    query = _INSERTS[len(arrivals) > 1, lasting].replace("{s}", schema_name(tenant))
    if seal is not None:
        arrivals = [_sealed(each, seal) for each in arrivals]
    cursor = await connection.execute(query, _columns(arrivals), binary=False)
    new: dict[tuple[int | None, bytes], list[int]] = {}
    for id_, key, sha256 in await cursor.fetchall():
        new.setdefault((key, bytes(sha256)), []).append(id_)
    found = []
    for each in arrivals:
        ids = new.get((each.key, each.sha256))
        if ids:
            found.append(Stored(ids.pop(0), True, each.state, each.acknowledgement))
        else:
            found.append(await _known(connection, tenant, each, lasting))
    return found


def place(sha256: bytes) -> str:
    """Where the ciphertext of a message opens."""
    return sha256.hex()


def _sealed(arrival: Arrival, seal: Seal) -> Arrival:
    return replace(arrival, content=seal.seal_message(place(arrival.sha256), arrival.content))


async def _known(connection: Connection, tenant: str, arrival: Arrival, lasting: bool) -> Stored:
    """How a message stands that came before; a write makes sure that it is safe by now."""
    table = f"{schema_name(tenant)}.message"
    named = "where key = %s and sha256 = %b"
    told = "id, false, state, acknowledgement, answer"
    query = f"select {told} from {table} {named}"
    if lasting:
        query = f"update {table} set attempts = attempts {named} returning {told}"
    cursor = await connection.execute(query, (arrival.key, arrival.sha256))
    row = await cursor.fetchone()
    if row is None:  # Deleted this moment, since it was old.
        return (await store(connection, tenant, [arrival], seal=None, lasting=lasting))[0]
    return Stored(*row)


_BYTES = frozenset({"content", "sha256", "acknowledgement"})
_TYPES = {"key": "bigint", "received": "timestamptz", **dict.fromkeys(_BYTES, "bytea")}
_NAMES = ", ".join(_ARRIVAL)
_END = " on conflict (key, sha256) do nothing returning id, key, sha256"
_ONE = ", ".join(
    f"{'%b' if name in _BYTES else '%s'}::{_TYPES.get(name, 'text')}" for name in _ARRIVAL
)
_SEVERAL = ", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in _ARRIVAL)
_SOON = "(select set_config('synchronous_commit', 'off', true)) as soon"
_UNNESTED = f"unnest({_SEVERAL}) with ordinality as given ({_NAMES}, place)"
# By whether there are several messages, and whether the statement waits until they are safe.
_INSERTS = {
    (False, True): f"insert into {{s}}.message ({_NAMES}) values ({_ONE}){_END}",
    (False, False): f"insert into {{s}}.message ({_NAMES}) select {_ONE} from {_SOON}{_END}",
    (True, True): f"insert into {{s}}.message ({_NAMES}) select {_NAMES} from {_UNNESTED} "
    f"order by place{_END}",
    (
        True,
        False,
    ): f"insert into {{s}}.message ({_NAMES}) select {_NAMES} from {_SOON}, {_UNNESTED} "
    f"order by place{_END}",
}


def _columns(arrivals: Sequence[Arrival]) -> tuple[Any, ...]:
    if len(arrivals) == 1:
        return tuple(getattr(arrivals[0], name) for name in _ARRIVAL)
    return tuple([getattr(each, name) for each in arrivals] for name in _ARRIVAL)


def _opened(row: tuple[Any, ...], seal: Seal | None) -> Held:
    *held, sha256 = row
    found = Held(*held)
    if seal is None:
        return found
    return replace(found, content=seal.open_message(place(bytes(sha256)), found.content))


async def peek(
    connection: Connection, tenant: str, sender: str, seal: Seal | None
) -> tuple[Held, datetime] | None:
    """The oldest message of a sender that waits, and when the last one of anybody came.

    Somebody else may be at it.
    """
    table = f"{schema_name(tenant)}.message"
    cursor = await connection.execute(
        f"select (select received from {table} order by id desc limit 1), {_HELD}, sha256 "
        f"from {table} where sender = %s and state = 'received' order by id limit 1",
        (sender,),
    )
    row = await cursor.fetchone()
    return (_opened(row[1:], seal), row[0]) if row else None


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
            f"select id, exists (select from {schema}.message e "
            "where e.key = m.key and e.id < m.id) "
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


async def waiting_senders(connection: Connection, tenant: str, before: datetime) -> list[str]:
    """The senders whose oldest message has waited since before a time; a step in the index each."""
    table = f"{schema_name(tenant)}.message"
    oldest = f"(select m.received from {table} m where m.state = 'received' "
    oldest += "and m.sender = found.sender order by m.id limit 1)"
    cursor = await connection.execute(
        f"with recursive found (sender) as ((select sender from {table} "
        "where state = 'received' order by sender limit 1) union all "
        f"select (select m.sender from {table} m where m.state = 'received' "
        "and m.sender > found.sender order by m.sender limit 1) "
        "from found where found.sender is not null) "
        f"select sender from found where sender is not null and {oldest} < %s",
        (before,),
    )
    return [row[0] for row in await cursor.fetchall()]


async def by_record(
    connection: Connection, tenant: str, record: str, seal: Seal | None
) -> Held | None:
    """The message that a FHIR record tells of; None if there is none, or none any more."""
    cursor = await connection.execute(
        f"select {_HELD}, sha256 from {schema_name(tenant)}.message where id = %s",
        (_id_of(record),),
    )
    row = await cursor.fetchone()
    return _opened(row, seal) if row else None


async def parked(
    connection: Connection, tenant: str, sender: str | None, *, most: int
) -> list[str]:
    """The records of messages in error, of one sender if one is named, the oldest first."""
    cursor = await connection.execute(
        f"select id from {schema_name(tenant)}.message where state = 'error' "
        "and (%(sender)s::text is null or sender = %(sender)s) order by id limit %(most)s",
        {"sender": sender, "most": most},
    )
    return [f"{_RECORD}{row[0]}" for row in await cursor.fetchall()]


async def waiting(
    connection: Connection,
    tenant: str,
    sender: str,
    type_: str,
    control_id: str,
    *,
    most: int,
    seal: Seal | None,
) -> list[Held]:
    """The messages that wait to be carried out, the oldest first; an empty text is for all."""
    cursor = await connection.execute(
        f"select {_HELD}, sha256 from {schema_name(tenant)}.message where state = 'received' "
        "and %(sender)s in ('', sender) and %(type)s in ('', type) "
        "and %(control_id)s in ('', control_id) order by id limit %(most)s",
        {"sender": sender, "type": type_, "control_id": control_id, "most": most},
    )
    return [_opened(row, seal) for row in await cursor.fetchall()]


async def replay(connection: Connection, tenant: str, records: Sequence[str]) -> list[str]:
    """Let messages wait again, to be carried out anew; gives those that do."""
    cursor = await connection.execute(
        f"update {schema_name(tenant)}.message set state = 'received', attempts = 0, "
        "finished = null where id = any(%s) and state <> 'received' and type <> '' returning id",
        (_ids_of(records),),
    )
    return [f"{_RECORD}{row[0]}" for row in await cursor.fetchall()]


async def wait_again(
    connection: Connection, tenant: str, id_: int, acknowledgement: bytes | None
) -> None:
    """Let a message that is parked be carried out once more: its sender sent it again.

    acknowledgement: what is answered this time; None where the answer comes later.
    """
    await connection.execute(
        f"update {schema_name(tenant)}.message set state = 'received', attempts = 0, "
        "finished = null, acknowledgement = coalesce(%b, acknowledgement) "
        "where id = %s and state = 'error'",
        (acknowledgement, id_),
    )


async def backlog(connection: Connection, tenant: str) -> tuple[int, int, datetime | None]:
    """How many messages wait, how many are parked, and since when the oldest one waits."""
    table = f"{schema_name(tenant)}.message"
    cursor = await connection.execute(
        f"select (select count(*) from {table} where state = 'received'), "
        f"(select count(*) from {table} where state = 'error'), "
        f"(select min(received) from {table} where state = 'received')"
    )
    row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1], row[2]


async def forget(connection: Connection, tenant: str, before: datetime, *, most: int) -> int:
    """Delete messages that were done with before a time; gives how many."""
    table = f"{schema_name(tenant)}.message"
    cursor = await connection.execute(
        f"delete from {table} where id in (select id from {table} "
        "where state in ('done', 'ignored') and finished < %s limit %s)",
        (before, most),
    )
    return cursor.rowcount
