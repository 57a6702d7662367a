"""Carries out the jobs of the database in a worker process."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg

from fhir_server.background.work import Kind, LeaseLost, Work
from fhir_server.outcome import Refusal
from fhir_server.storage import jobs, tenants
from fhir_server.storage.jobs import Job
from fhir_server.storage.listen import Listener, Wake
from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Store

log = logging.getLogger(__name__)

# Jobs that are put back are due later, and nobody tells when: how often to look.
_LOOK_EVERY = 2.0
_GIVE_BACK_WITHIN = 2.0


class Runner:
    """Takes jobs of some kinds, one at a time of each.

    kinds: by the name that jobs are enqueued under.
    """

    def __init__(self, store: Store, listener: Listener, kinds: Mapping[str, Kind]) -> None:
        self._store = store
        self._kinds = {name: (kind, _wake(listener)) for name, kind in kinds.items()}

    async def run(self) -> None:
        """Carry out jobs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, (kind, wake) in self._kinds.items():
                tasks.create_task(self._take(name, kind, wake))

    async def _take(self, name: str, kind: Kind, wake: Wake) -> None:
        task = asyncio.current_task()
        # The pool of connections can lose a cancellation that comes with a connection.
        while task is None or not task.cancelling():
            try:
                found = [await self._next(tenant, name, kind) for tenant in await self._due(name)]
            except (Refusal, psycopg.Error, OSError):
                # The database does not answer: it is asked again, and leases run out meanwhile.
                found = []
            if not any(found):
                await wake.wait(_LOOK_EVERY)

    async def _due(self, kind: str) -> list[str]:
        """The tenants that have such jobs to be carried out."""
        async with self._store.server() as connection:
            pulses = await tenants.pulses(connection, datetime.now(UTC))
        return [pulse.tenant for pulse in pulses if kind in pulse.due]

    async def _next(self, tenant: str, name: str, kind: Kind) -> bool:
        """Carry out the next job of a tenant, if there is one."""
        async with self._store.connection(tenant) as connection:
            job = await jobs.claim(
                connection,
                tenant,
                name,
                datetime.now(UTC),
                lease=kind.lease,
                most_attempts=kind.most_attempts,
                alone=kind.alone,
            )
        if job is None:
            return False
        work = Work(self._store, tenant, job, kind.lease)
        try:
            await self._carry_out(work, kind)
        except asyncio.CancelledError:
            await self._give_back(tenant, job)
            raise
        return True

    async def _carry_out(self, work: Work, kind: Kind) -> None:
        try:
            await kind.handler(work)
            if not work.finished:
                async with self._store.connection(work.tenant) as connection:
                    await work.finish(connection)
        except LeaseLost:
            log.warning("job %d (%s) is with another worker now", work.job.id, work.job.kind)
        except Exception as error:
            log.exception("job %d (%s) failed", work.job.id, work.job.kind)
            async with self._store.connection(work.tenant) as connection:
                await jobs.retry(
                    connection,
                    work.tenant,
                    work.job,
                    f"{type(error).__name__}: {error}",
                    datetime.now(UTC),
                    most_attempts=kind.most_attempts,
                )

    async def _give_back(self, tenant: str, job: Job) -> None:
        try:
            async with (
                asyncio.timeout(_GIVE_BACK_WITHIN),
                self._store.connection(tenant) as connection,
            ):
                await jobs.release(connection, tenant, job)
        except (Refusal, psycopg.Error, OSError, TimeoutError):
            log.warning("job %d (%s) waits for its lease to run out", job.id, job.kind)


def _wake(listener: Listener) -> Wake:
    return listener.on_tenants(lambda tenant: f"{schema_name(tenant)}_job")
