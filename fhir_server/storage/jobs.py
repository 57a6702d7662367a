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
) -> Job | None:
    """Take the next due job of a kind, or one whose worker let its lease run out.

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
        "order by run_at, id limit 1 for update skip locked) "
        "returning id, kind, payload, attempts",
        {"kind": kind, "now": now, "until": now + lease},
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
