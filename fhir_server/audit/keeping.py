"""The trail that is kept: events to journals at once, and from there into the chain soon after."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import psycopg

from fhir_server.audit.adding import Adding
from fhir_server.audit.journal import Journal, JournalFull
from fhir_server.audit.keys import Remembered
from fhir_server.audit.lines import line_of
from fhir_server.audit.trail import Event
from fhir_server.context import Context
from fhir_server.outcome import Issue, Refusal, Unavailable
from fhir_server.storage.store import Store

log = logging.getLogger(__name__)

# After which an event is on the disk, unless it is before the answer; and in the database.
FLUSH_SECONDS = 0.1
ADD_SECONDS = 0.5
# How often what dead processes left is looked for.
LOOK_SECONDS = 5.0
# A longer journal is followed by another one.
LONGEST_JOURNAL = 64 * 1024 * 1024


class Trail:
    """Keeps events; one a process.

    folder: of journals, of the key and of what is remembered. tenants: those that are served.
    strict: whether an answer waits until its event is on the disk.
    """

    on = True

    def __init__(
        self,
        store: Store,
        folder: Path,
        tenants: Callable[[], Iterable[str]],
        *,
        strict: bool = False,
    ) -> None:
        self._folder = folder
        self._tenants = tenants
        self._strict = strict
        self._journals: dict[str, Journal] = {}
        self._ended: dict[str, list[Journal]] = {}
        self._waiting: set[str] = set()
        self._flushing: asyncio.Task[None] | None = None
        self.remembered: Remembered | None = Remembered(folder)
        self._adding = Adding(store, self.remembered)

    async def note(self, ctx: Context, event: Event) -> None:
        """Keep an event. Raises a 503 `Refusal` if that is not possible."""
        try:
            journal = self._journals.get(ctx.tenant) or self._begin(ctx.tenant)
            journal.append(line_of(ctx, event))
            self._waiting.add(ctx.tenant)
            if self._strict:
                await self._flushed()
                if self._journals.get(ctx.tenant) is not journal:
                    raise JournalFull("what was written is not on the disk")
        except OSError as error:
            log.error("the audit trail cannot be written: %s", error)
            text = "Nothing is answered while the audit trail cannot be written"
            raise Unavailable(Issue("no-store", text)) from error

    def line(self, ctx: Context, event: Event) -> str | None:
        """The event of a change, to be stored with it."""
        self._waiting.add(ctx.tenant)
        return line_of(ctx, event)

    async def settle(self, tenant: str) -> None:
        """Have in the database what this process has noted, before somebody looks there."""
        await self._adding.add(tenant, self._journals.get(tenant))

    async def run(self) -> None:
        """Flush and add until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_flushing())
            tasks.create_task(self._keep_adding())

    async def close(self) -> None:
        """Add what is left, if the database answers; what is not added others will find."""
        for tenant, journal in self._journals.items():
            try:
                done = await self._adding.add(tenant, journal)
            except (Refusal, psycopg.Error, OSError):
                done = False
            journal.close(remove=done)
        self._journals.clear()

    def _begin(self, tenant: str) -> Journal:
        journal = self._journals[tenant] = Journal.new(self._folder / tenant)
        return journal

    async def _flushed(self) -> None:
        """Wait for a flush that began after now; all who wait share it."""
        if self._flushing is not None:
            await asyncio.shield(self._flushing)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(self._flushing)

    async def _flush(self) -> None:
        for tenant, journal in list(self._journals.items()):
            if journal.dirty:
                try:
                    await asyncio.to_thread(journal.flush)
                except OSError:
                    # What the disk has of it is unknown: the rest goes elsewhere, if anywhere.
                    log.exception("a journal of the audit trail cannot be flushed")
                    self._journals.pop(tenant, None)
                    journal.close()

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._flush()

    async def _keep_adding(self) -> None:
        looked = -LOOK_SECONDS
        clock = asyncio.get_running_loop().time
        while True:
            looking = clock() - looked >= LOOK_SECONDS
            if looking:
                looked = clock()
                self._waiting.update(self._tenants())
            for tenant in sorted(self._waiting):
                self._waiting.discard(tenant)
                try:
                    await self._add(tenant, looking=looking)
                except (Refusal, psycopg.Error, OSError):
                    # The database does not answer; the journals keep all until it does.
                    self._waiting.add(tenant)
            await asyncio.sleep(ADD_SECONDS)

    async def _add(self, tenant: str, *, looking: bool) -> None:
        journal = self._journals.get(tenant)
        done = await self._adding.add(tenant, journal)
        if journal is not None and done and journal.size > LONGEST_JOURNAL:
            del self._journals[tenant]
            await self._adding.finish(tenant, journal)
        if looking:
            for other in Journal.left(self._folder / tenant):
                await self._adding.finish(tenant, other)
