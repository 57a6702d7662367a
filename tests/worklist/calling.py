"""Modalities: dcmtk's findscu, and pynetdicom as the client of worklist and MPPS."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from fhir_server.workflow.canonicals import BASE
from tests.answers import resource_of
from tests.workflow.ordering import Resource, Ward, encounter, order, reference, ward
from tests.workflow.stepping import step
from tests.worklist.conftest import TITLE, House

ASKED = ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID")
STEP_ASKED = (
    "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime", "ScheduledProcedureStepID", "ScheduledProcedureStepStatus",
)  # fmt: skip


async def findscu(house: House, *keys: str, caller: str = "FINDSCU") -> list[Dataset]:
    """What dcmtk's findscu gets from the worklist."""
    with tempfile.TemporaryDirectory() as folder:
        named = {key.partition("=")[0] for key in keys}
        wanted = [f"{each}=" for each in ASKED if each not in named]
        wanted += [
            f"ScheduledProcedureStepSequence[0].{each}="
            for each in STEP_ASKED
            if f"ScheduledProcedureStepSequence[0].{each}" not in named
        ]
        arguments = [part for key in (*wanted, *keys) for part in ("-k", key)]
        process = await asyncio.create_subprocess_exec(
            "findscu", "-W", "-X", "-od", folder, "-aet", caller, "-aec", TITLE,
            "127.0.0.1", str(house.port), *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert b"Failed" not in output, output.decode()
        return _read(Path(folder))


def _read(folder: Path) -> list[Dataset]:
    return [dcmread(path, force=True) for path in sorted(folder.glob("*.dcm"))]


def of_step(**keys: str) -> list[str]:
    """Keys of the scheduled step as findscu takes them."""
    return [f"ScheduledProcedureStepSequence[0].{name}={value}" for name, value in keys.items()]


def query(step_keys: dict[str, str] | None = None, **keys: Any) -> Dataset:
    """A query with all that tests look at."""
    found, item = Dataset(), Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    for name in ASKED:
        setattr(found, name, keys.pop(name, ""))
    for name, value in keys.items():
        setattr(found, name, value)
    for name in STEP_ASKED:
        setattr(item, name, (step_keys or {}).get(name, ""))
    found.ScheduledProcedureStepSequence = [item]
    return found


def associated(house: House, caller: str = "PYNETDICOM", title: str = TITLE) -> Association:
    """An association of a modality."""
    entity = AE(ae_title=caller)
    for context in (Verification, ModalityWorklistInformationFind, ModalityPerformedProcedureStep):
        entity.add_requested_context(context)
    return entity.associate("127.0.0.1", house.port, ae_title=title)


def ask(house: House, asked: Dataset, caller: str = "PYNETDICOM") -> tuple[list[Dataset], int]:
    """All answers to a query, and the status at their end."""
    association = associated(house, caller)
    assert association.is_established
    try:
        found, last = [], -1
        for status, identifier in association.send_c_find(asked, ModalityWorklistInformationFind):
            last = status.Status
            if identifier is not None:
                found.append(identifier)
        return found, last
    finally:
        association.release()


async def answers(house: House, asked: Dataset, caller: str = "PYNETDICOM") -> list[Dataset]:
    """All answers to a query that must succeed."""
    found, status = await asyncio.to_thread(ask, house, asked, caller)
    assert status == 0, hex(status)
    return found


def told(house: House, uid: str, attributes: Dataset, *, new: bool, caller: str = "CT1") -> int:
    """What MPPS N-CREATE or N-SET gives."""
    association = associated(house, caller)
    assert association.is_established
    try:
        send = association.send_n_create if new else association.send_n_set
        status, _ = send(attributes, ModalityPerformedProcedureStep, uid)
        return int(status.Status)
    finally:
        association.release()


def accessions(found: list[Dataset]) -> list[str]:
    """The accession numbers of answers."""
    return [each.AccessionNumber for each in found]


async def patient(client: httpx.AsyncClient, number: str, **name: Any) -> str:
    """A patient with a record number."""
    identifier = {
        "system": "http://example.org/records",
        "value": number,
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]
        },
    }
    resource = {
        "resourceType": "Patient",
        "identifier": [{"system": "http://example.org/other", "value": f"x{number}"}, identifier],
        "name": [name or {"family": "Muster", "given": ["Erika", "Maria"], "prefix": ["Dr."]}],
        "birthDate": "1964-08-12",
        "gender": "female",
    }
    return await reference(client, resource)


async def station(client: httpx.AsyncClient, title: str) -> str:
    """A room with an AE title."""
    identifier = [{"system": f"{BASE}/ae-title", "value": title}]
    location = {"resourceType": "Location", "name": f"Room of {title}", "identifier": identifier}
    return await reference(client, location)


async def scheduled(
    client: httpx.AsyncClient,
    who: str | None = None,
    *,
    modality: str = "CT",
    time: str = "2026-12-01T09:30:00+01:00",
    location: str = "",
    **more: Any,
) -> Resource:
    """An order that is on the worklist."""
    at = await ward(client)
    if who is not None:
        at = Ward(who, await reference(client, encounter(who)), at.practitioner)
    url = f"{BASE}/StructureDefinition/order-modality"
    coding = {"system": f"{BASE}/CodeSystem/modality", "code": modality}
    made = order(at, extension=[{"url": url, "valueCoding": coding}], **more)
    found = resource_of(await client.post("ServiceRequest", json=made), 201)
    given = {"time": time} | ({"location": location} if location else {})
    await step(client, f"ServiceRequest/{found['id']}", "schedule", **given)
    return found
