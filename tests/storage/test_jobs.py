"""Durable work: claimed by one worker, retried until done."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from fhir_server.storage.jobs import (
    BACKOFF_SECONDS,
    MOST_ATTEMPTS,
    Job,
    claim,
    complete,
    enqueue,
    hasten,
    retry,
)
from fhir_server.storage.store import Connection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def state(connection: Connection, job: int) -> tuple[Any, ...]:
    cursor = await connection.execute(
        "select state, attempts, last_error from tenant_default.job where id = %s", (job,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return row


async def claimed(connection: Connection, kind: str, now: datetime) -> Job:
    job = await claim(connection, "default", kind, now, lease=LEASE)
    assert job is not None
    return job


async def test_a_job_is_claimed_with_what_was_written_and_then_done(
    connection: Connection,
) -> None:
    payload = {"resource": "Task/1", "tries": [1, 2.5, None]}
    id_ = await enqueue(connection, "default", "send", payload, NOW)
    job = await claimed(connection, "send", NOW)
    assert job == Job(id_, "send", payload, 1)
    await complete(connection, "default", job)
    assert await state(connection, id_) == ("done", 1, None)
    assert await claim(connection, "default", "send", later(9999), lease=LEASE) is None


async def test_jobs_of_a_kind_come_in_order_and_not_before_they_are_due(
    connection: Connection,
) -> None:
    late = await enqueue(connection, "default", "order", 1, later(10))
    first = await enqueue(connection, "default", "order", 2, NOW)
    second = await enqueue(connection, "default", "order", 3, NOW)
    await enqueue(connection, "default", "another", 4, later(-100))
    assert (await claimed(connection, "order", NOW)).id == first
    assert (await claimed(connection, "order", NOW)).id == second
    assert await claim(connection, "default", "order", NOW, lease=LEASE) is None
    assert (await claimed(connection, "order", later(10))).id == late


async def test_a_job_is_claimed_by_one_worker_alone(database: str, connection: Connection) -> None:
    for number in range(20):
        await enqueue(connection, "default", "race", number, NOW)

    async def worker() -> list[int]:
        async with await AsyncConnection.connect(database, autocommit=True) as own:
            found = []
            while job := await claim(own, "default", "race", NOW, lease=LEASE):
                found.append(job.payload)
            return found

    found = [item for part in await asyncio.gather(*(worker() for _ in range(6))) for item in part]
    assert sorted(found) == list(range(20))


async def test_a_job_of_a_transaction_that_fails_never_was(
    connection: Connection, other_connection: Connection
) -> None:
    with suppress(RuntimeError):
        async with connection.transaction():
            await enqueue(connection, "default", "undone", 1, NOW)
            assert await claim(other_connection, "default", "undone", NOW, lease=LEASE) is None
            raise RuntimeError
    assert await claim(connection, "default", "undone", later(9), lease=LEASE) is None


async def test_a_worker_that_vanishes_loses_its_claim_and_cannot_finish_anothers(
    connection: Connection,
) -> None:
    id_ = await enqueue(connection, "default", "lease", 1, NOW)
    lost = await claimed(connection, "lease", NOW)
    assert await claim(connection, "default", "lease", later(30), lease=LEASE) is None
    taken = await claimed(connection, "lease", later(31))
    assert taken == Job(id_, "lease", 1, 2)
    assert not await complete(connection, "default", lost)
    await retry(connection, "default", lost, "too late", later(32))
    assert await state(connection, id_) == ("running", 2, None)
    assert await complete(connection, "default", taken)
    assert await state(connection, id_) == ("done", 2, None)


async def test_retries_wait_longer_each_time_and_the_job_is_parked_at_last(
    connection: Connection,
) -> None:
    id_ = await enqueue(connection, "default", "retry", 1, NOW)
    now = NOW
    for attempt in range(1, 9):
        job = await claimed(connection, "retry", now)
        assert job.attempts == attempt
        await retry(connection, "default", job, f"error {attempt}", now, most_attempts=8)
        wait = BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS)) - 1]
        early = now + timedelta(seconds=wait - 0.1)
        assert await claim(connection, "default", "retry", early, lease=LEASE) is None
        now += timedelta(seconds=wait)
    assert await state(connection, id_) == ("failed", 8, "error 8")
    assert await claim(connection, "default", "retry", later(10**7), lease=LEASE) is None


async def test_a_commit_wakes_the_workers(
    connection: Connection, other_connection: Connection
) -> None:
    await other_connection.execute("listen tenant_default_job")
    await enqueue(connection, "default", "wake", 1, NOW)
    notices = [notice async for notice in other_connection.notifies(timeout=20, stop_after=1)]
    assert [notice.payload for notice in notices] == ["wake"]


async def test_a_job_whose_worker_dies_each_time_is_parked(connection: Connection) -> None:
    id_ = await enqueue(connection, "default", "poison", 1, NOW)
    for attempt in range(MOST_ATTEMPTS):
        assert (await claimed(connection, "poison", later(attempt * 60))).attempts == attempt + 1
    after = later(MOST_ATTEMPTS * 60)
    assert await claim(connection, "default", "poison", after, lease=LEASE) is None
    parked, attempts, error = await state(connection, id_)
    assert (parked, attempts) == ("failed", MOST_ATTEMPTS)
    assert error == "its worker ended without a word, each time"


async def test_jobs_that_wait_for_another_attempt_can_be_hastened(connection: Connection) -> None:
    await enqueue(connection, "default", "hastened", {}, NOW)
    job = await claimed(connection, "hastened", NOW)
    await retry(connection, "default", job, "away", NOW)
    assert await claim(connection, "default", "hastened", NOW, lease=LEASE) is None
    await hasten(connection, "default", "hastened", NOW)
    assert (await claimed(connection, "hastened", NOW)).attempts == 2
