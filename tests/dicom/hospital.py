"""A server with the bridge to a real Orthanc, and what tests wait for."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from fhir_server.app import build
from fhir_server.dicom.local import LocalOrthanc
from fhir_server.settings import Settings
from fhir_server.workflow.canonicals import IDENTIFIER_TYPE
from tests.answers import resource_of
from tests.conftest import FHIR_JSON
from tests.dicom.images import Scan, series, storescu, write
from tests.workflow.ordering import (
    Resource,
    Ward,
    accession,
    create,
    encounter,
    order,
    reference,
)

MRN = "http://example.org/mrn"
WITHIN = 60.0


@asynccontextmanager
async def served(
    database: str, orthanc: LocalOrthanc, **more: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application in this process, with its bridge."""
    given: dict[str, Any] = {
        "database_pool": 8,
        "orthanc_url": orthanc.url,
        "orthanc_user": orthanc.settings.user,
        "orthanc_password": orthanc.settings.password,
        "orthanc_poll": 0.2,
        "orthanc_compare": 1.0,
        "patient_id_issuers": f"MAIN={MRN}",
        "accession_issuers": "RIS2=http://example.org/ris2",
    }
    app = build(Settings(**given | more), database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60
        ) as found,
    ):
        yield found


class Hospital:
    """A client, an Orthanc, and a folder for images."""

    def __init__(
        self, client: httpx.AsyncClient, orthanc: LocalOrthanc, folder: Path, port: int = 0
    ) -> None:
        self.client = client
        self.worklist_port = port
        self.orthanc = orthanc
        self._folder = folder
        self._sent = 0

    async def patient(self, mrn: str, **more: Any) -> Ward:
        """A patient with a number, an encounter, and who orders."""
        kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "MR"}]}
        identifier = [{"type": kind, "system": MRN, "value": mrn}]
        patient = {
            "resourceType": "Patient",
            "identifier": identifier,
            "name": [{"family": "Doe", "given": ["Jane"]}],
            "birthDate": "1970-01-01",
            "gender": "female",
        }
        found = await reference(self.client, patient | more)
        return Ward(
            found,
            await reference(self.client, encounter(found)),
            await reference(self.client, {"resourceType": "Practitioner", "active": True}),
        )

    async def order(self, at: Ward, **more: Any) -> Resource:
        """An imaging order."""
        return await create(self.client, order(at, **more))

    async def ordered(self, mrn: str, **more: Any) -> tuple[Resource, Scan]:
        """An order of a new patient, and a scan as a device makes it for the order."""
        found = await self.order(await self.patient(mrn), **more)
        return found, Scan(accession(found), mrn)

    def send(self, scan: Scan, count: int = 1, **more: Any) -> None:
        """A new series of a study, sent by a device."""
        self._sent += 1
        folder = self._folder / str(self._sent)
        storescu(self.orthanc.dicom_port, write(folder, series(scan, count, **more)))

    async def read(self, target: str) -> Resource:
        """A resource that is there; asked for again while the database is away."""
        end = time.monotonic() + WITHIN
        answer = await self.client.get(target)
        while answer.status_code == 503 and time.monotonic() < end:
            await asyncio.sleep(0.05)
            answer = await self.client.get(target)
        return resource_of(answer, 200)

    async def study(
        self, scan: Scan, until: Callable[[Resource], Any] = lambda _: True
    ) -> Resource:
        """The ImagingStudy of a scan, once it is as expected."""
        return await self.until(f"ImagingStudy/{scan.study}", until)

    async def until(self, target: str, until: Callable[[Resource], Any]) -> Resource:
        """A resource, once it is as expected."""
        found: Resource = {}
        end = time.monotonic() + WITHIN
        while time.monotonic() < end:
            answer = await self.client.get(target)
            if answer.status_code == 200:
                found = answer.json()
                if until(found):
                    return found
            await asyncio.sleep(0.05)
        last = f"{answer.status_code}: {answer.text}"
        raise AssertionError(f"{target} did not become as expected: {found or last}")

    async def all(self, search: str) -> list[Resource]:
        """The matches of a search."""
        bundle = resource_of(await self.client.get(search), 200)
        return [each["resource"] for each in bundle.get("entry", ())]

    async def state(self, order_id: str) -> str:
        """The state of an order."""
        task = await self.read(f"Task/{order_id}")
        return str(task["businessStatus"]["coding"][0]["code"])

    async def conflict(self, scan: Scan, reason: str) -> Resource:
        """The open Task about the conflict of a study."""
        from fhir_server.dicom.records import task_identity

        return await self.until(
            "/".join(task_identity(scan.study)),
            lambda task: (
                task["reasonCode"]["coding"][0]["code"] == reason and task["status"] == "requested"
            ),
        )


def tag(study: Resource) -> str:
    """Whether a study is unmatched or in conflict, by its tag."""
    tags = study.get("meta", {}).get("tag", ())
    return next((each["code"] for each in tags if "imaging-match" in each["system"]), "")


def decision(study: Resource, part: str) -> Any:
    """A part of what a study tells of its link."""
    (extension,) = study["extension"]
    for each in extension["extension"]:
        if each["url"] == part:
            return next(value for name, value in each.items() if name.startswith("value"))
    return None


def based_on(study: Resource) -> list[str]:
    """References to the orders of a study."""
    return [each["reference"] for each in study.get("basedOn", ())]
