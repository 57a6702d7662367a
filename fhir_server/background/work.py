"""What a job's handler is given, and how kinds of jobs are described."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.storage import jobs
from fhir_server.storage.jobs import Job
from fhir_server.storage.store import Connection, Store


class LeaseLost(Exception):
    """Another worker has the job by now; what was done in this transaction must not stay."""


@dataclass(slots=True)
class Work:
    """A claimed job on its way.

    finished: whether the handler marked it done itself.
    """

    store: Store
    tenant: str
    job: Job
    lease: timedelta
    finished: bool = field(default=False)

    async def checkpoint(self, connection: Connection, payload: Any) -> None:
        """Note how far the job has come and hold it for another lease.

        In a transaction, what is noted and what was done come together. Raises `LeaseLost`.
        """
        until = datetime.now(UTC) + self.lease
        if not await jobs.checkpoint(connection, self.tenant, self.job, payload, until):
            raise LeaseLost

    async def finish(self, connection: Connection) -> None:
        """Mark the job done, in the transaction of its last effect. Raises `LeaseLost`."""
        if not await jobs.complete(connection, self.tenant, self.job):
            raise LeaseLost
        self.finished = True


Handler = Callable[[Work], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job.

    handler: does the work, to be repeated without harm: a worker may die at any point. It awaits
        something every few milliseconds, and a checkpoint before its lease runs out.
    lease: after which another worker takes over a job that was not heard of.
    alone: one job of the kind at a time is enough.
    """

    handler: Handler
    lease: timedelta = timedelta(seconds=10)
    alone: bool = False
    most_attempts: int = jobs.MOST_ATTEMPTS
