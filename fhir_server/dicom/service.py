"""The parts of the bridge to one archive in a process: loops, jobs, routes and health."""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter
from prometheus_client import Gauge

from fhir_server.dicom.bridge import Bridge
from fhir_server.dicom.deletion import Deleting
from fhir_server.dicom.hints import hint_routes
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicom.settings import ArchiveSettings, BridgeSettings
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.storage import archive
from fhir_server.storage.listen import Listener
from fhir_server.storage.migrate import DEFAULT_TENANT

_UP = Gauge(
    "fhir_archive_up",
    "Whether the image archive answers.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
_DUE = Gauge(
    "fhir_archive_studies_due",
    "Studies that wait to be looked at.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
_OPEN = Gauge(
    "fhir_archive_studies_open",
    "Studies without an order, or whose order could not be completed.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)


class ArchiveService:
    """The bridge to the Orthanc of one tenant."""

    def __init__(
        self,
        engine: Engine,
        listener: Listener,
        tenant: str,
        archive_settings: ArchiveSettings,
        bridge_settings: BridgeSettings,
    ) -> None:
        self._engine = engine
        self._tenant = tenant
        self._settings = bridge_settings
        self.orthanc = Orthanc(archive_settings)
        self._bridge = Bridge(engine, self.orthanc, bridge_settings, (tenant,), listener)

    @property
    def deleting(self) -> Deleting:
        """What carries out deletions there."""
        return Deleting(self._engine, self.orthanc)

    @property
    def routes(self) -> APIRouter:
        """The routes beside FHIR."""
        return hint_routes(self._engine, self.orthanc.name, self._settings.secret, self._tenant)

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
        async with self._engine.store.connection(self._tenant) as connection:
            found = await archive.health(connection, self._tenant, self.orthanc.name)
        name = "archive" if self._tenant == DEFAULT_TENANT else f"archive-{self._tenant}"
        if found is None:
            return {name: "not asked yet"}
        return {
            name: found.problem or "ok",
            f"{name}-studies-due": found.due,
            f"{name}-studies-open": found.open,
        }

    async def _keep_measuring(self) -> None:
        while True:
            try:
                async with self._engine.store.connection(self._tenant) as connection:
                    found = await archive.health(connection, self._tenant, self.orthanc.name)
            except Refusal:
                found = None
            if found is not None:
                _UP.labels(self._tenant).set(found.problem is None)
                _DUE.labels(self._tenant).set(found.due)
                _OPEN.labels(self._tenant).set(found.open)
            await asyncio.sleep(self._settings.poll)
