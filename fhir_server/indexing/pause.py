"""Waiting inside a job."""

import asyncio
import time

from fhir_server.background.work import Work
from fhir_server.storage.store import Connection

_LOOK_EVERY = 0.05


class Pause:
    """Waits a moment, holding the job meanwhile."""

    def __init__(self, work: Work, connection: Connection) -> None:
        self._work = work
        self._connection = connection
        self._held = time.monotonic()

    async def __call__(self) -> None:
        """Wait a moment."""
        await asyncio.sleep(_LOOK_EVERY)
        if time.monotonic() - self._held > self._work.lease.total_seconds() / 3:
            await self._work.checkpoint(self._connection, self._work.job.payload)
            self._held = time.monotonic()

    async def until(self, end: float) -> None:
        """Wait until a time of the monotonic clock."""
        while time.monotonic() < end:
            await self()
