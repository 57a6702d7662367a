"""The bridge: what an archive tells of its studies becomes ImagingStudies, sooner or later.

What counts is what the archive says when it is asked. Its changes are read from where they were
read last; all of its studies are compared from time to time, at the start, and when it was away:
that finds deletions, and studies of which it forgot to tell. A hint only makes this faster.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.deletion import DELETE_STUDY
from fhir_server.dicom.facts import Tags
from fhir_server.dicom.orthanc import Orthanc, Study
from fhir_server.dicom.settings import BridgeSettings
from fhir_server.dicom.taking import Taken, Taking
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal, Unavailable
from fhir_server.storage import archive, jobs
from fhir_server.storage.archive import GONE, NEW, KnownStudy, Outcome
from fhir_server.storage.listen import Listener, Wake
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

_LEASE = timedelta(seconds=120)
# A study that is not quiet yet is looked at again after this; its archive tells when it is.
_BUSY_SECONDS = 1.0
_TOLD = frozenset({"NewStudy", "StableStudy"})
_LIMITS = ("MaximumStorageSize", "MaximumPatientCount")
# So many studies that are missing at once are no deletions, but an archive that lost its disk.
_MOST_MISSING = 20


class Bridge:
    """The bridge of one process to one archive; processes share the work by the database."""

    def __init__(
        self,
        engine: Engine,
        orthanc: Orthanc,
        settings: BridgeSettings,
        tenants: Sequence[str],
        listener: Listener,
    ) -> None:
        self._engine = engine
        self._orthanc = orthanc
        self._settings = settings
        self._tenants = tuple(tenants)
        self._taking = Taking(engine, settings)
        self._hastened: set[str] = set()
        channels = [archive.channel(tenant) for tenant in tenants]
        self._looking: Wake = listener.on(*channels)
        self._working: Wake = listener.on(*channels)

    async def run(self) -> None:
        """Look and work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_looking())
            tasks.create_task(self._keep_working())

    async def _keep_looking(self) -> None:
        while True:
            for tenant in self._tenants:
                try:
                    if tenant not in self._hastened:
                        await self._hasten(tenant)
                        self._hastened.add(tenant)
                    await self.look(tenant)
                except (Refusal, psycopg.Error, OSError):
                    log.info("the image archive is not asked: the database does not answer")
            await self._looking.wait(self._settings.poll)

    async def _keep_working(self) -> None:
        while True:
            worked = False
            for tenant in self._tenants:
                try:
                    worked = await self.work(tenant) or worked
                except (Refusal, psycopg.Error, OSError):
                    log.info("no study is looked at: the database does not answer")
                    # A study that was being looked at would wait until its lease runs out.
                    self._hastened.discard(tenant)
            if not worked:
                await self._working.wait(min(_BUSY_SECONDS, self._settings.poll))

    async def _hasten(self, tenant: str) -> None:
        """Nobody knows for how long no process was there, or no database."""
        async with self._engine.store.connection(tenant) as connection:
            await archive.hasten(connection, tenant, self._orthanc.name, _now())

    async def look(self, tenant: str) -> None:
        """Ask what changed, if it is time and no other process does."""
        name, now = self._orthanc.name, _now()
        every = timedelta(seconds=self._settings.poll)
        async with self._engine.store.connection(tenant) as connection:
            look = await archive.take_look(connection, tenant, name, now, every)
            if look is None:
                return
            await archive.mark_open(connection, tenant, name, now)
        try:
            again = await self._read_changes(tenant, look.position)
            compared, problem = None, None
            if look.compare or look.failed or again:
                problem = await self._compare(tenant)
                compared = _now() + timedelta(seconds=self._settings.reconcile)
        except Unavailable as refused:
            async with self._engine.store.connection(tenant) as connection:
                await archive.answered(connection, tenant, name, _now(), str(refused))
            return
        async with self._engine.store.connection(tenant) as connection:
            await archive.answered(connection, tenant, name, _now(), problem, compared)
            if look.failed and problem is None:
                await archive.retry(connection, tenant, name, _now())
                await jobs.hasten(connection, tenant, DELETE_STUDY, _now())

    async def _read_changes(self, tenant: str, position: int) -> bool:
        """Mark the studies that changed; whether it is another archive than it was."""
        last = await self._orthanc.last_change()
        another = last < position
        position = 0 if another else position
        while position < last:
            changes = await self._orthanc.changes(position)
            ids = {row.id for row in changes.rows if row.kind in _TOLD}
            progress = max(changes.last, position)
            stuck, position = progress == position, progress
            async with self._engine.store.transaction(tenant) as connection:
                await archive.mark(connection, tenant, self._orthanc.name, ids, _now())
                await archive.moved(connection, tenant, self._orthanc.name, position)
            if changes.done or stuck:
                break
        if another and not last:
            async with self._engine.store.connection(tenant) as connection:
                await archive.moved(connection, tenant, self._orthanc.name, 0)
        return another

    async def _compare(self, tenant: str) -> str | None:
        """Mark every study that is not as it was read; gives what is wrong with the archive."""
        name = self._orthanc.name
        if problem := _forgets(await self._orthanc.system()):
            log.error("%s", problem)
        async with self._engine.store.connection(tenant) as connection:
            known = await archive.known(connection, tenant, name)
        seen: set[str] = set()
        changed: set[str] = set()
        async for study in self._orthanc.studies():
            seen.add(study.id)
            if _is_news(study, known.get(study.id)):
                changed.add(study.id)
        there = {each.id for each in known.values() if each.state not in (GONE, NEW)}
        missing = there - seen
        if lost := _lost(len(there), len(missing)):
            log.error("%s", lost)
            problem, missing = lost, set()
        async with self._engine.store.transaction(tenant) as connection:
            await archive.mark(connection, tenant, name, changed | missing, _now())
            await archive.mark_conflicts(connection, tenant, name, _now())
        return problem

    async def work(self, tenant: str) -> bool:
        """Look at the next study that is due, if there is one."""
        async with self._engine.store.connection(tenant) as connection:
            row = await archive.claim_study(connection, tenant, self._orthanc.name, _now(), _LEASE)
        if row is None:
            return False
        try:
            await self._look_at(tenant, row)
        except asyncio.CancelledError:
            await asyncio.shield(self._put_off(tenant, row, _now()))
            raise
        except Exception as error:
            # The text may hold what the images say; the log must not.
            log.warning("a study could not be taken in: %s", type(error).__name__)
            problem = f"{type(error).__name__}: {error}"
            await self._put_off(tenant, row, archive.later(_now(), row.attempts), problem)
        return True

    async def _put_off(
        self, tenant: str, row: KnownStudy, again: datetime, problem: str | None = None
    ) -> None:
        async with self._engine.store.connection(tenant) as connection:
            name = self._orthanc.name
            await archive.put_off(connection, tenant, name, row, again, problem)

    async def _look_at(self, tenant: str, row: KnownStudy) -> None:
        study = await self._orthanc.study(row.id)
        if study is None:
            await self._lose(tenant, row)
            return
        if not study.stable:
            await self._put_off(tenant, row, _now() + timedelta(seconds=_BUSY_SECONDS))
            return
        others = await self._orthanc.studies_of(study.uid)
        if len(others) > 1:
            await self._quarantine(tenant, row, study, others)
            return
        tags = await self._tags(study)
        if not tags:
            raise ArchiveAway("the study changed while it was read")
        # Thousands of instances take a moment, in which others are to be served.
        images = await asyncio.to_thread(self._taking.read, study.uid, tags)
        async with self._engine.store.transaction(tenant) as connection:
            if await archive.is_deleting(connection, tenant, self._orthanc.name, row.id):
                return
            taken = await self._taking.take(connection, tenant, images)
            await self._settle(connection, tenant, row, study, taken)

    async def _tags(self, study: Study) -> list[Tags]:
        """The tags of all instances, a series at a time."""
        found: list[Tags] = []
        for series in study.series:
            tags: Mapping[str, Tags] = await self._orthanc.series_tags(series)
            found.extend(tags.values())
        return found

    async def _settle(
        self, connection: Connection, tenant: str, row: KnownStudy, study: Study, taken: Taken
    ) -> None:
        outcome = Outcome(
            taken.state, study.uid, stamp_of(study), taken.accessions, taken.candidates
        )
        await archive.settle(connection, tenant, self._orthanc.name, row, outcome)

    async def _quarantine(
        self, tenant: str, row: KnownStudy, study: Study, others: Sequence[Study]
    ) -> None:
        ids = [each.id for each in others]
        async with self._engine.store.transaction(tenant) as connection:
            taken = await self._taking.quarantine(connection, tenant, study.uid, ids)
            # Whoever deletes one of them has to be asked which.
            await archive.name_under(connection, tenant, self._orthanc.name, study.uid, ids)
            await self._settle(connection, tenant, row, study, taken)

    async def _lose(self, tenant: str, row: KnownStudy) -> None:
        """The study is not there; others under its UID are seen in a new light."""
        name = self._orthanc.name
        async with self._engine.store.connection(tenant) as connection:
            there = await archive.count(connection, tenant, name)
        if lost := _lost(there, there - await self._orthanc.count_studies()):
            raise ArchiveAway(lost)
        remaining = await self._orthanc.studies_of(row.study_uid) if row.study_uid else []
        async with self._engine.store.transaction(tenant) as connection:
            if row.study_uid and not remaining and row.state != GONE:
                reason = "The images are not in the archive any more"
                await self._taking.lose(connection, tenant, row.study_uid, reason)
            outcome = Outcome(GONE, row.study_uid, "")
            await archive.settle(connection, tenant, name, row, outcome)
            await archive.mark(connection, tenant, name, [each.id for each in remaining], _now())


def _forgets(system: Mapping[str, Any]) -> str | None:
    """Why an archive may lose images by itself; older ones do not tell, and its plugin refuses."""
    limits = [name for name in _LIMITS if system.get(name)]
    if not limits or system.get("MaximumStorageMode") == "Reject":
        return None
    return f"the image archive deletes the oldest patients when it is full: {limits[0]} is not 0"


def _lost(there: int, missing: int) -> str | None:
    """Why studies that are missing are no deletions; None if they may be."""
    if missing <= _MOST_MISSING or 2 * missing <= there:
        return None
    return (
        f"{missing} of {there} studies are missing in the image archive: not taken for deletions; "
        "check that it is the right one and has its disks"
    )


def _is_news(study: Study, row: KnownStudy | None) -> bool:
    if row is None or row.state == GONE:
        return True
    return row.due is None and not row.deleting and row.stamp != stamp_of(study)


def stamp_of(study: Study) -> str:
    """What differs whenever something came to a study."""
    return f"{study.updated} {len(study.series)}"


def _now() -> datetime:
    return datetime.now(UTC)
