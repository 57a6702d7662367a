"""The bridges to all archives of a process: each belongs to one tenant."""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter

from fhir_server.background.work import Kind, Work
from fhir_server.dicom.deletion import DELETE_STUDY, LEASE, MOST_ATTEMPTS
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicom.service import ArchiveService


class Archives:
    """The archives by the tenant whose images they keep."""

    def __init__(self, services: Mapping[str, ArchiveService]) -> None:
        self._services = services

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of jobs."""
        deleting = {tenant: each.deleting for tenant, each in self._services.items()}

        async def delete(work: Work) -> None:
            if work.tenant not in deleting:
                raise LookupError(f"{work.tenant} has no image archive any more")
            await deleting[work.tenant](work)

        return {DELETE_STUDY: Kind(delete, lease=LEASE, most_attempts=MOST_ATTEMPTS)}

    @property
    def orthancs(self) -> Mapping[str, Orthanc]:
        """What the archives are asked by."""
        return {tenant: each.orthanc for tenant, each in self._services.items()}

    @property
    def routes(self) -> list[APIRouter]:
        """The routes beside FHIR."""
        return [each.routes for each in self._services.values()]

    async def run(self) -> None:
        """Keep the bridges up until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._services.values():
                tasks.create_task(each.run())

    async def close(self) -> None:
        """Close the connections to the archives."""
        for each in self._services.values():
            await each.close()

    async def health(self) -> Mapping[str, str | int]:
        """Whether they answer, and how many studies wait or need a person."""
        found: dict[str, str | int] = {}
        for each in self._services.values():
            found |= await each.health()
        return found
