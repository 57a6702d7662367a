"""Carrying out jobs: promptly, once, again when they fail, elsewhere when a worker stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from fhir_server.background import runner
from fhir_server.background.runner import Runner
from fhir_server.background.tasks import running
from fhir_server.background.work import Kind, LeaseLost, Work
from fhir_server.storage import jobs
from fhir_server.storage.listen import Listener
from fhir_server.storage.store import PooledStore


@pytest.fixture
async def store(database: str) -> AsyncIterator[PooledStore]:
    """The connections of a worker."""
    found = PooledStore(database, size=6)
    await found.open()
    yield found
    await found.close()


@asynccontextmanager
async def worker(database: str, store: PooledStore, **kinds: Kind) -> AsyncIterator[None]:
    """A worker that takes jobs of some kinds inside the block."""
    listener = Listener(database)
    found = Runner(store, listener, kinds)
    listener.follow(["default"])
    async with running(listener.run, found.run):
        yield


async def enqueue(store: PooledStore, kind: str, payload: Any = None) -> int:
    async with store.connection("default") as connection:
        return await jobs.enqueue(connection, "default", kind, payload, datetime.now(UTC))


async def row(store: PooledStore, job: int) -> tuple[Any, ...]:
    async with store.connection("default") as connection:
        cursor = await connection.execute(
            "select state, attempts, last_error, payload from tenant_default.job where id = %s",
            (job,),
        )
        found = await cursor.fetchone()
    assert found is not None
    return found


async def until(store: PooledStore, job: int, state: str, within: float = 20) -> tuple[Any, ...]:
    async with asyncio.timeout(within):
        while (found := await row(store, job))[0] != state:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    return found


class Seen:
    """A handler that records what it was given."""

    def __init__(self, then: Callable[[Work], Any] | None = None) -> None:
        self.payloads: list[Any] = []
        self.news = asyncio.Event()
        self._then = then

    async def __call__(self, work: Work) -> None:
        """Record a job."""
        self.payloads.append(work.job.payload)
        self.news.set()
        if self._then is not None:
            await self._then(work)


async def test_a_job_is_carried_out_as_soon_as_it_is_there_and_once(
    database: str, store: PooledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks without being told.
    monkeypatch.setattr(runner, "_LOOK_EVERY", 60)
    seen = Seen()
    async with (
        worker(database, store, prompt=Kind(seen)),
        worker(database, store, prompt=Kind(seen)),
    ):
        await asyncio.sleep(0.3)
        job = await enqueue(store, "prompt", 1)
        await until(store, job, "done")
        await asyncio.sleep(0.1)
    assert seen.payloads == [1]


async def test_a_job_that_waited_for_a_worker_is_carried_out(
    database: str, store: PooledStore
) -> None:
    seen = Seen()
    job = await enqueue(store, "early", {"a": [1]})
    async with worker(database, store, early=Kind(seen)):
        await until(store, job, "done")
    assert seen.payloads == [{"a": [1]}]


async def test_a_job_that_fails_is_repeated_and_says_why(database: str, store: PooledStore) -> None:
    async def fail(work: Work) -> None:
        if work.job.attempts == 1:
            raise RuntimeError("not yet")

    seen = Seen(fail)
    async with worker(database, store, often=Kind(seen)):
        job = await enqueue(store, "often")
        assert (await until(store, job, "queued"))[:1] == ("queued",)
        await seen.news.wait()
        while (found := await row(store, job))[2] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert found[:3] == ("queued", 1, "RuntimeError: not yet")
        assert (await until(store, job, "done"))[1:3] == (2, None)


async def test_a_job_that_always_fails_is_parked(database: str, store: PooledStore) -> None:
    async def fail(_: Work) -> None:
        raise RuntimeError("never")

    async with worker(database, store, hopeless=Kind(fail, most_attempts=1)):
        job = await enqueue(store, "hopeless")
        assert (await until(store, job, "failed"))[1:3] == (1, "RuntimeError: never")


async def test_what_a_stopped_worker_had_done_is_not_done_again(
    database: str, store: PooledStore
) -> None:
    async def half(work: Work) -> None:
        if work.job.payload == "begun":
            async with store.connection("default") as connection:
                await work.checkpoint(connection, "half")
            await asyncio.sleep(60)

    first, second = Seen(half), Seen(half)
    async with worker(database, store, long=Kind(first)):
        job = await enqueue(store, "long", "begun")
        async with asyncio.timeout(20):
            while (await row(store, job))[3] != "half":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert (await row(store, job))[:2] == ("queued", 0)
    async with worker(database, store, long=Kind(second)):
        await until(store, job, "done")
    assert second.payloads == ["half"]


async def test_a_worker_that_lost_its_lease_cannot_note_or_finish_anything(
    database: str, store: PooledStore
) -> None:
    outcome: list[str] = []

    async def slow(work: Work) -> None:
        if work.job.attempts > 1:
            return
        async with store.connection("default") as connection:
            await connection.execute(
                "update tenant_default.job set claimed_until = now() - interval '1 s' "
                "where id = %s",
                (work.job.id,),
            )
            other = await jobs.claim(
                connection, "default", "slow", datetime.now(UTC), lease=timedelta(seconds=60)
            )
            assert other is not None
            for attempt in (work.checkpoint(connection, "mine"), work.finish(connection)):
                with pytest.raises(LeaseLost):
                    await attempt
            await jobs.checkpoint(connection, "default", other, "theirs", datetime.now(UTC))
            outcome.append("told")
            raise LeaseLost

    async with worker(database, store, slow=Kind(slow)):
        job = await enqueue(store, "slow", "new")
        found = await until(store, job, "done")
    assert outcome == ["told"]
    assert found == ("done", 3, None, "theirs")


async def test_jobs_of_a_kind_that_is_to_be_alone_come_one_after_the_other(
    database: str, store: PooledStore
) -> None:
    going = asyncio.Event()

    async def wait(_: Work) -> None:
        await going.wait()

    seen = Seen(wait)
    kind = Kind(seen, alone=True)
    async with worker(database, store, single=kind), worker(database, store, single=kind):
        first = await enqueue(store, "single", 1)
        await until(store, first, "running")
        second = await enqueue(store, "single", 2)
        await asyncio.sleep(0.3)
        assert (await row(store, second))[0] == "queued"
        going.set()
        await until(store, second, "done")
    assert seen.payloads == [1, 2]


async def test_jobs_go_on_after_the_database_dropped_all_connections(
    database: str, store: PooledStore
) -> None:
    seen = Seen()
    async with worker(database, store, after=Kind(seen)):
        await asyncio.sleep(0.2)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
            await other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            job = await jobs.enqueue(other, "default", "after", 1, datetime.now(UTC))
        await until(store, job, "done")
    assert seen.payloads == [1]


async def test_a_task_that_fails_begins_again() -> None:
    begun = 0

    async def fail() -> None:
        nonlocal begun
        begun += 1
        raise RuntimeError

    async with running(fail):
        async with asyncio.timeout(20):
            while begun < 2:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    assert begun == 2


async def test_a_loop_that_misses_its_cancellation_ends_nevertheless() -> None:
    missed = 0

    async def loop() -> None:
        nonlocal missed
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            missed += 1
            if missed > 1:
                raise
        await asyncio.sleep(60)

    async with asyncio.timeout(20):
        async with running(loop):
            await asyncio.sleep(0)
    assert missed == 1
