"""Durable work: a row written with its cause, claimed by one worker, retried until done."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# Seconds to wait before the second, third … attempt; the last one repeats.
BACKOFF_SECONDS = (1, 5, 30, 120, 600, 3600)
MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job: `attempts` counts this one."""

    id: int
    kind: str
    payload: Any
    attempts: int


async def enqueue(
    connection: Connection, tenant: str, kind: str, payload: Any, now: datetime
) -> int:
    """Write a job, in the caller's transaction, and wake its workers when that commits."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"insert into {schema}.job (kind, payload, state, run_at, created) "
        "values (%s, %s, 'queued', %s, %s) returning id",
        (kind, Jsonb(payload), now, now),
    )
    row = await cursor.fetchone()
    await connection.execute("select pg_notify(%s, %s)", (f"{schema}_job", kind))
    assert row is not None
    return int(row[0])


async def claim(
    connection: Connection,
    tenant: str,
    kind: str,
    now: datetime,
    *,
    lease: timedelta,
    most_attempts: int = MOST_ATTEMPTS,
    alone: bool = False,
) -> Job | None:
    """Take the next due job of a kind, or one whose worker let its lease run out.

    alone: none is taken while another one of the kind is under way. Two workers that ask at the
        same moment may get one each, so this saves work but excludes nothing.
    A job whose worker dies each time is parked as failed after `most_attempts`.
    """
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.job set state = 'failed', claimed_until = null, "
        "last_error = 'its worker ended without a word, each time' "
        "where kind = %s and state = 'running' and claimed_until < %s and attempts >= %s",
        (kind, now, most_attempts),
    )
    cursor = await connection.execute(
        f"update {schema}.job set state = 'running', attempts = attempts + 1, "
        "claimed_until = %(until)s where id = ("
        f"select id from {schema}.job where kind = %(kind)s and run_at <= %(now)s and "
        "(state = 'queued' or (state = 'running' and claimed_until < %(now)s)) "
        f"and not (%(alone)s and exists (select from {schema}.job other "
        "where other.kind = %(kind)s and other.state = 'running' "
        "and other.claimed_until >= %(now)s)) "
        "order by run_at, id limit 1 for update skip locked) "
        "returning id, kind, payload, attempts",
        {"kind": kind, "now": now, "until": now + lease, "alone": alone},
    )
    row = await cursor.fetchone()
    return None if row is None else Job(*row)


async def complete(connection: Connection, tenant: str, job: Job) -> bool:
    """Mark a job done, in the transaction that holds its effect.

    False, and nothing marked, when its lease ran out and another worker has it: the caller must
    undo the effect, because the other one brings it about as well.
    """
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"update {schema}.job set state = 'done', last_error = null, claimed_until = null "
        "where id = %s and attempts = %s",
        (job.id, job.attempts),
    )
    return cursor.rowcount == 1


async def checkpoint(
    connection: Connection, tenant: str, job: Job, payload: Any, until: datetime
) -> bool:
    """Note how far a job has come, in the transaction that holds it, and hold the job longer.

    False, and nothing noted, when another worker has the job: the caller must undo what it did.
    """
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"update {schema}.job set payload = %s, claimed_until = %s where id = %s and attempts = %s "
        "and state = 'running'",
        (Jsonb(payload), until, job.id, job.attempts),
    )
    return cursor.rowcount == 1


async def release(connection: Connection, tenant: str, job: Job) -> None:
    """Give a job back at once, as if it had not been claimed: its worker stops."""
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.job set state = 'queued', attempts = attempts - 1, claimed_until = null "
        "where id = %s and attempts = %s and state = 'running'",
        (job.id, job.attempts),
    )
    await connection.execute("select pg_notify(%s, %s)", (f"{schema}_job", job.kind))


async def hasten(connection: Connection, tenant: str, kind: str, now: datetime) -> None:
    """Let the jobs of a kind that wait for another attempt be due at once."""
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.job set run_at = %s where kind = %s and state = 'queued' and run_at > %s",
        (now, kind, now),
    )
    await connection.execute("select pg_notify(%s, %s)", (f"{schema}_job", kind))


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A job that is not done: its state is queued, running or failed."""

    payload: Any
    state: str
    last_error: str | None


async def unfinished(connection: Connection, tenant: str, kind: str) -> list[Unfinished]:
    """The jobs of a kind that are not done, those under way first."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"select payload, state, last_error from {schema}.job where kind = %s and state <> 'done' "
        "order by state = 'running' desc, id",
        (kind,),
    )
    return [Unfinished(*row) for row in await cursor.fetchall()]


async def retry(
    connection: Connection,
    tenant: str,
    job: Job,
    error: str,
    now: datetime,
    *,
    most_attempts: int = MOST_ATTEMPTS,
) -> None:
    """Put a job back to be tried later, or park it as failed after `most_attempts`."""
    schema = schema_name(tenant)
    wait = BACKOFF_SECONDS[min(job.attempts, len(BACKOFF_SECONDS)) - 1]
    state = "failed" if job.attempts >= most_attempts else "queued"
    await connection.execute(
        f"update {schema}.job set state = %s, last_error = %s, run_at = %s, claimed_until = null "
        "where id = %s and attempts = %s",
        (state, error, now + timedelta(seconds=wait), job.id, job.attempts),
    )
