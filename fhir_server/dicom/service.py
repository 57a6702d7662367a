"""The parts of the bridge to one archive in a process: loops, jobs, routes and health."""

import asyncio
from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from prometheus_client import Gauge

from fhir_server.background.work import Kind
from fhir_server.dicom.bridge import Bridge
from fhir_server.dicom.deletion import DELETE_STUDY, LEASE, MOST_ATTEMPTS, Deleting
from fhir_server.dicom.hints import hint_routes
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicom.settings import ArchiveSettings, BridgeSettings
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.storage import archive
from fhir_server.storage.listen import Listener

_UP = Gauge("fhir_archive_up", "Whether the image archive answers.", multiprocess_mode="mostrecent")
_DUE = Gauge(
    "fhir_archive_studies_due",
    "Studies that wait to be looked at.",
    multiprocess_mode="mostrecent",
)
_OPEN = Gauge(
    "fhir_archive_studies_open",
    "Studies without an order, or whose order could not be completed.",
    multiprocess_mode="mostrecent",
)


class ArchiveService:
    """The bridge to one Orthanc."""

    def __init__(
        self,
        engine: Engine,
        listener: Listener,
        tenants: Sequence[str],
        archive_settings: ArchiveSettings,
        bridge_settings: BridgeSettings,
    ) -> None:
        self._engine = engine
        self._tenants = tuple(tenants)
        self._settings = bridge_settings
        self.orthanc = Orthanc(archive_settings)
        self._bridge = Bridge(engine, self.orthanc, bridge_settings, tenants, listener)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of jobs."""
        deleting = Deleting(self._engine, self.orthanc)
        return {DELETE_STUDY: Kind(deleting, lease=LEASE, most_attempts=MOST_ATTEMPTS)}

    @property
    def routes(self) -> APIRouter:
        """The routes beside FHIR."""
        secret = self._settings.secret
        return hint_routes(self._engine, self.orthanc.name, secret, self._tenants)

    async def run(self) -> None:
        """Keep the bridge up until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bridge.run())
            tasks.create_task(self._keep_measuring())

    async def close(self) -> None:
        """Close the connections to the archive."""
        await self.orthanc.close()

    async def health(self) -> Mapping[str, str | int]:
        """Whether the archive answers, and how many studies wait or need a person."""
        async with self._engine.store.connection(self._tenants[0]) as connection:
            found = await archive.health(connection, self._tenants[0], self.orthanc.name)
        if found is None:
            return {"archive": "not asked yet"}
        return {
            "archive": found.problem or "ok",
            "archive-studies-due": found.due,
            "archive-studies-open": found.open,
        }

    async def _keep_measuring(self) -> None:
        while True:
            try:
                async with self._engine.store.connection(self._tenants[0]) as connection:
                    found = await archive.health(connection, self._tenants[0], self.orthanc.name)
            except Refusal:
                found = None
            if found is not None:
                _UP.set(found.problem is None)
                _DUE.set(found.due)
                _OPEN.set(found.open)
            await asyncio.sleep(self._settings.poll)
