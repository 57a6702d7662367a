"""What is known of an image archive: how far it was read, and what became of each study.

A study that has to be looked at is due. Whoever looks holds it by a lease: it becomes due again
later, unless the worker says what became of it. What comes meanwhile makes it due once more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# Seconds until a study is looked at again after the first, second … failure; the last one repeats.
BACKOFF_SECONDS = (1, 5, 30, 120, 600)

NEW, LINKED, UNMATCHED, CONFLICT, WAITING, GONE = (
    "new", "linked", "unmatched", "conflict", "waiting", "gone",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """A row of `archive_study`; due: the end of the lease, for who claimed it."""

    id: str
    study_uid: str
    state: str
    due: datetime | None
    attempts: int
    stamp: str
    candidates: Sequence[str]
    deleting: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a study that was looked at.

    again: when to look once more. accessions: what it may be matched by. candidates: orders it
    was compared with.
    """

    state: str
    study_uid: str
    stamp: str
    accessions: Sequence[str] = ()
    candidates: Sequence[str] = ()
    again: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an archive answers, and what is left to do."""

    answered: datetime | None
    problem: str | None
    due: int
    open: int


@dataclass(frozen=True, slots=True)
class Look:
    """The task of asking for changes. position: after which. compare: all studies as well."""

    position: int
    compare: bool
    failed: bool


_ROW = "id, study_uid, state, due, attempts, stamp, candidates, deleting"


def channel(tenant: str) -> str:
    """Where studies that are due are told of."""
    return f"{schema_name(tenant)}_archive"


async def take_look(
    connection: Connection, tenant: str, archive: str, now: datetime, every: timedelta
) -> Look | None:
    """The task of asking for changes, for one worker at a time; None when it is not time yet."""
    table = f"{schema_name(tenant)}.archive"
    await connection.execute(
        f"insert into {table} (name, next_look, next_comparison) values (%s, %s, %s) "
        "on conflict do nothing",
        (archive, now, now),
    )
    cursor = await connection.execute(
        f"update {table} set next_look = %s where name = %s and next_look <= %s "
        "returning position, next_comparison <= %s, problem is not null",
        (now + every, archive, now, now),
    )
    row = await cursor.fetchone()
    return None if row is None else Look(*row)


async def hasten(connection: Connection, tenant: str, archive: str, now: datetime) -> None:
    """Let the next worker that looks ask for changes, and compare all studies, at once.

    Studies that are held are due too: who held them may have been killed. Where they were not,
    two look at a study, and the second finds nothing new.
    """
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.archive set next_look = %(now)s, next_comparison = %(now)s "
        "where name = %(archive)s",
        {"now": now, "archive": archive},
    )
    await connection.execute(
        f"update {schema}.archive_study set due = %(now)s "
        "where archive = %(archive)s and due > %(now)s and problem is null and not deleting",
        {"now": now, "archive": archive},
    )


async def moved(connection: Connection, tenant: str, archive: str, position: int) -> None:
    """Note how far changes were read, in the transaction that marks what they tell of."""
    await connection.execute(
        f"update {schema_name(tenant)}.archive set position = %s where name = %s",
        (position, archive),
    )


async def answered(
    connection: Connection,
    tenant: str,
    archive: str,
    now: datetime,
    problem: str | None = None,
    compared: datetime | None = None,
) -> None:
    """Note that an archive answered or, with a problem, that it did not.

    compared: when all of its studies are to be compared next.
    """
    await connection.execute(
        f"update {schema_name(tenant)}.archive set "
        "answered = case when %(problem)s::text is null then %(now)s else answered end, "
        "problem = %(problem)s, next_comparison = coalesce(%(compared)s, next_comparison) "
        "where name = %(archive)s",
        {"problem": problem, "now": now, "compared": compared, "archive": archive},
    )


async def mark(
    connection: Connection, tenant: str, archive: str, ids: Collection[str], now: datetime
) -> None:
    """Have studies looked at, whatever is known of them."""
    if not ids:
        return
    schema = schema_name(tenant)
    await connection.execute(
        f"insert into {schema}.archive_study as s "
        "(archive, id, study_uid, state, due, stamp, accessions, candidates) "
        "select %s, id, '', 'new', %s, '', '{}', '{}' from unnest(%s::text[]) as id "
        "on conflict (archive, id) do update set due = excluded.due, attempts = 0",
        (archive, now, sorted(set(ids))),
    )
    await connection.execute("select pg_notify(%s, '')", (channel(tenant),))


async def mark_open(connection: Connection, tenant: str, archive: str, now: datetime) -> int:
    """Have studies looked at for which there is an order that they were not compared with."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"update {schema}.archive_study s set due = %(now)s, attempts = 0 "
        "where archive = %(archive)s and due is null and not deleting "
        "and state in ('unmatched', 'conflict', 'waiting') "
        f"and exists (select from {schema}.claimed_number n "
        "where n.value = any(s.accessions) and n.holder <> all(s.candidates))",
        {"now": now, "archive": archive},
    )
    return cursor.rowcount


async def mark_conflicts(connection: Connection, tenant: str, archive: str, now: datetime) -> None:
    """Have studies looked at that wait for something else than a new order."""
    await connection.execute(
        f"update {schema_name(tenant)}.archive_study set due = %s, attempts = 0 "
        "where archive = %s and due is null and not deleting and state in ('conflict', 'waiting')",
        (now, archive),
    )


async def retry(connection: Connection, tenant: str, archive: str, now: datetime) -> None:
    """Have studies looked at that wait because something failed: the reason may be over."""
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.archive_study set due = %s, attempts = 0 "
        "where archive = %s and due > %s and problem is not null and not deleting",
        (now, archive, now),
    )
    await connection.execute("select pg_notify(%s, '')", (channel(tenant),))


async def claim_study(
    connection: Connection, tenant: str, archive: str, now: datetime, lease: timedelta
) -> KnownStudy | None:
    """The next study that is due, held until its lease runs out."""
    table = f"{schema_name(tenant)}.archive_study"
    cursor = await connection.execute(
        f"update {table} set due = %(until)s, attempts = attempts + 1 "
        f"where (archive, id) = (select archive, id from {table} where archive = %(archive)s "
        f"and due <= %(now)s order by due, id limit 1 for update skip locked) returning {_ROW}",
        {"until": now + lease, "archive": archive, "now": now},
    )
    row = await cursor.fetchone()
    return None if row is None else KnownStudy(*row)


async def settle(
    connection: Connection, tenant: str, archive: str, study: KnownStudy, outcome: Outcome
) -> None:
    """Note what became of a claimed study; it stays due if it was marked meanwhile."""
    await connection.execute(
        f"update {schema_name(tenant)}.archive_study set state = %(state)s, "
        "study_uid = %(uid)s, stamp = %(stamp)s, accessions = %(accessions)s, "
        "candidates = %(candidates)s, problem = %(problem)s, attempts = 0, "
        "due = case when due = %(held)s then %(again)s else due end "
        "where archive = %(archive)s and id = %(id)s",
        {
            "state": outcome.state,
            "uid": outcome.study_uid,
            "stamp": outcome.stamp,
            "accessions": list(outcome.accessions),
            "candidates": list(outcome.candidates),
            "problem": outcome.problem,
            "held": study.due,
            "again": outcome.again,
            "archive": archive,
            "id": study.id,
        },
    )


async def put_off(
    connection: Connection,
    tenant: str,
    archive: str,
    study: KnownStudy,
    again: datetime,
    problem: str | None = None,
) -> None:
    """Have a claimed study looked at later; what is known of it stays."""
    await connection.execute(
        f"update {schema_name(tenant)}.archive_study set "
        "due = case when due = %s then %s else due end, problem = %s, "
        "attempts = case when %s then attempts else 0 end where archive = %s and id = %s",
        (study.due, again, problem, problem is not None, archive, study.id),
    )


async def known(connection: Connection, tenant: str, archive: str) -> dict[str, KnownStudy]:
    """Every study that was ever heard of, by the archive's ids."""
    cursor = await connection.execute(
        f"select {_ROW} from {schema_name(tenant)}.archive_study where archive = %s", (archive,)
    )
    return {row[0]: KnownStudy(*row) for row in await cursor.fetchall()}


async def count(connection: Connection, tenant: str, archive: str) -> int:
    """How many studies should be there."""
    cursor = await connection.execute(
        f"select count(*) from {schema_name(tenant)}.archive_study "
        "where archive = %s and state not in ('new', 'gone')",
        (archive,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def is_deleting(connection: Connection, tenant: str, archive: str, id_: str) -> bool:
    """Whether somebody asked for the deletion of a study; nobody does until the caller's end."""
    cursor = await connection.execute(
        f"select deleting from {schema_name(tenant)}.archive_study "
        "where archive = %s and id = %s for update",
        (archive, id_),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def under(connection: Connection, tenant: str, study_uid: str) -> list[KnownStudy]:
    """The studies under one UID that are there as far as is known."""
    cursor = await connection.execute(
        f"select {_ROW} from {schema_name(tenant)}.archive_study "
        "where study_uid = %s and state <> 'gone' order by id for update",
        (study_uid,),
    )
    return [KnownStudy(*row) for row in await cursor.fetchall()]


async def name_under(
    connection: Connection, tenant: str, archive: str, study_uid: str, ids: Collection[str]
) -> None:
    """Note that studies are under one UID, before they are looked at themselves."""
    schema = schema_name(tenant)
    await connection.execute(
        f"insert into {schema}.archive_study as s "
        "(archive, id, study_uid, state, due, stamp, accessions, candidates) "
        "select %s, id, %s, 'conflict', null, '', '{}', '{}' from unnest(%s::text[]) as id "
        "on conflict (archive, id) do update set study_uid = excluded.study_uid, "
        "state = case when s.state in ('new', 'gone') then 'conflict' else s.state end",
        (archive, study_uid, sorted(ids)),
    )


async def mark_under(connection: Connection, tenant: str, study_uid: str, now: datetime) -> None:
    """Have the studies under one UID looked at."""
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.archive_study set due = %s, attempts = 0 "
        "where study_uid = %s and state <> 'gone' and not deleting",
        (now, study_uid),
    )
    await connection.execute("select pg_notify(%s, '')", (channel(tenant),))


async def mark_deleting(
    connection: Connection, tenant: str, study_uid: str, ids: Collection[str]
) -> None:
    """Let studies be deleted, in the transaction that notes who wants it and why."""
    await connection.execute(
        f"update {schema_name(tenant)}.archive_study set deleting = true, due = null "
        "where study_uid = %s and id = any(%s)",
        (study_uid, list(ids)),
    )


async def mark_deleted(
    connection: Connection, tenant: str, archive: str, ids: Collection[str], now: datetime
) -> None:
    """Note that studies are not in the archive any more; looked at once more, they stay gone."""
    await connection.execute(
        f"update {schema_name(tenant)}.archive_study set deleting = false, state = 'gone', "
        "stamp = '', due = %s where archive = %s and id = any(%s)",
        (now, archive, list(ids)),
    )


async def holders(
    connection: Connection, tenant: str, values: Collection[str]
) -> list[tuple[str, str, str]]:
    """Systems, values and holders of the numbers with some values, whatever their systems."""
    cursor = await connection.execute(
        f"select system, value, holder from {schema_name(tenant)}.claimed_number "
        "where value = any(%s) order by system, value",
        (sorted(set(values)),),
    )
    return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


async def health(connection: Connection, tenant: str, archive: str) -> Health | None:
    """How an archive does; None before a worker ever looked."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        "select a.answered, a.problem, "
        f"(select count(*) from {schema}.archive_study s "
        "where s.archive = a.name and s.due is not null), "
        f"(select count(*) from {schema}.archive_study s where s.archive = a.name "
        "and s.state in ('unmatched', 'conflict', 'waiting')) "
        f"from {schema}.archive a where a.name = %s",
        (archive,),
    )
    row = await cursor.fetchone()
    return None if row is None else Health(*row)


def later(now: datetime, attempts: int) -> datetime:
    """When to try again after so many attempts."""
    return now + timedelta(seconds=BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS)) - 1])
