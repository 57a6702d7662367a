"""MPPS: what modalities tell of steps they perform moves orders, as a device."""

import asyncio
from typing import Any

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from fhir_server.workflow.canonicals import BASE
from fhir_server.workflow.study_uids import study_uid
from tests.answers import resource_of
from tests.workflow.ordering import Resource, accession, reference
from tests.workflow.stepping import state_of
from tests.worklist.calling import patient, scheduled, told
from tests.worklist.conftest import House

DUPLICATE, UNKNOWN, INVALID, FAILURE = 0x0111, 0x0112, 0x0106, 0x0110


def begun(order: Resource | None, who: str, **more: Any) -> Dataset:
    """What N-CREATE sends."""
    found, item = Dataset(), Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    item.AccessionNumber = accession(order) if order else ""
    item.StudyInstanceUID = study_uid(order) if order else generate_uid()
    item.ScheduledProcedureStepID = ""
    found.ScheduledStepAttributesSequence = [item]
    found.PatientID = who
    found.PatientName = "Muster^Erika"
    found.PerformedProcedureStepID = "P1"
    found.PerformedStationAETitle = "CT1"
    found.PerformedProcedureStepStartDate = "20261121"
    found.PerformedProcedureStepStartTime = "083000"
    found.PerformedProcedureStepStatus = "IN PROGRESS"
    found.PerformedProcedureStepDescription = "Chest"
    found.Modality = "CT"
    found.PerformedSeriesSequence = []
    for name, value in more.items():
        setattr(found, name, value)
    return found


def ended(status: str, reason: tuple[str, str] | None = None) -> Dataset:
    """What the last N-SET sends."""
    found = Dataset()
    found.PerformedProcedureStepStatus = status
    found.PerformedProcedureStepEndDate = "20261121"
    found.PerformedProcedureStepEndTime = "084500"
    if reason is not None:
        item = Dataset()
        item.CodeValue, item.CodeMeaning = reason
        item.CodingSchemeDesignator = "DCM"
        found.PerformedProcedureStepDiscontinuationReasonCodeSequence = [item]
    return found


async def send(house: House, uid: str, attributes: Dataset, *, new: bool = False) -> int:
    return await asyncio.to_thread(told, house, uid, attributes, new=new)


async def procedure(client: httpx.AsyncClient, uid: str) -> Resource:
    answer = await client.get("Procedure", params={"identifier": f"urn:dicom:uid|urn:oid:{uid}"})
    (entry,) = resource_of(answer)["entry"]
    found: Resource = entry["resource"]
    return found


def target(order: Resource) -> str:
    return f"ServiceRequest/{order['id']}"


async def test_a_step_that_begins_and_ends_takes_its_order_along(house: House) -> None:
    client = house.client
    who = await patient(client, "M-1")
    title = {"system": f"{BASE}/ae-title", "value": "CT1"}
    device = await reference(
        client, {"resourceType": "Device", "status": "active", "identifier": [title]}
    )
    order, uid = await scheduled(client, who), generate_uid()
    assert await send(house, uid, begun(order, "M-1"), new=True) == 0
    assert await state_of(client, target(order)) == "in-progress"
    found = await procedure(client, uid)
    assert found["status"] == "in-progress"
    assert found["basedOn"] == [{"reference": target(order)}]
    assert found["subject"] == {"reference": who}
    assert found["performer"] == [{"actor": {"reference": device}}]
    assert found["performedPeriod"] == {"start": "2026-11-21T08:30:00+01:00"}
    assert await send(house, uid, ended("COMPLETED")) == 0
    assert await state_of(client, target(order)) == "completed"
    found = await procedure(client, uid)
    assert found["status"] == "completed"
    assert found["performedPeriod"]["end"] == "2026-11-21T08:45:00+01:00"
    assert "note" not in found
    task = resource_of(await client.get(f"Task/{order['id']}"))
    assert task["executionPeriod"] == found["performedPeriod"]
    assert task["owner"] == {"reference": device}


async def test_a_step_moves_an_order_that_was_not_put_on_a_station_by_its_title(
    house: House,
) -> None:
    order, uid = await scheduled(house.client, await patient(house.client, "M-2")), generate_uid()
    attributes = begun(order, "M-2")
    attributes.ScheduledStepAttributesSequence[0].AccessionNumber = ""
    assert await asyncio.to_thread(told, house, uid, attributes, new=True, caller="XR1") == 0
    assert await state_of(house.client, target(order)) == "in-progress"
    found = await procedure(house.client, uid)
    assert found["performer"] == [{"actor": {"display": "AE XR1"}}]


async def test_what_is_discontinued_waits_or_is_cancelled_as_its_reason_says(house: House) -> None:
    who = await patient(house.client, "M-3")
    for reason, state, status in (
        (("110501", "Equipment failure"), "on-hold", "stopped"),
        (("110500", "Doctor canceled procedure"), "cancelled", "stopped"),
        (None, "on-hold", "stopped"),
    ):
        order, uid = await scheduled(house.client, who), generate_uid()
        assert await send(house, uid, begun(order, "M-3"), new=True) == 0
        assert await send(house, uid, ended("DISCONTINUED", reason)) == 0
        assert await state_of(house.client, target(order)) == state
        found = await procedure(house.client, uid)
        assert found["status"] == status
        if reason:
            assert found["statusReason"]["coding"][0]["code"] == reason[0]


async def test_a_step_of_another_patient_is_kept_but_moves_no_order(house: House) -> None:
    """A technician who picked the wrong entry must not begin somebody else's order."""
    order = await scheduled(house.client, await patient(house.client, "M-4"))
    uid = generate_uid()
    assert await send(house, uid, begun(order, "SOMEBODY"), new=True) == 0
    assert await state_of(house.client, target(order)) == "scheduled"
    found = await procedure(house.client, uid)
    assert "basedOn" not in found
    assert found["subject"] == {
        "type": "Patient", "identifier": {"value": "SOMEBODY"}, "display": "Muster^Erika"
    }  # fmt: skip
    assert "another patient" in found["note"][0]["text"]


async def test_a_step_without_an_order_is_kept_too(house: House) -> None:
    uid = generate_uid()
    assert await send(house, uid, begun(None, "UNPLANNED"), new=True) == 0
    found = await procedure(house.client, uid)
    assert found["code"] == {"text": "Chest"}
    assert "no order" in found["note"][0]["text"]


async def test_steps_begin_once_and_do_not_change_after_their_end(house: House) -> None:
    order, uid = await scheduled(house.client, await patient(house.client, "M-5")), generate_uid()
    assert await send(house, uid, ended("COMPLETED")) == UNKNOWN
    assert await send(house, uid, begun(order, "M-5"), new=True) == 0
    assert await send(house, uid, begun(order, "M-5"), new=True) == DUPLICATE
    wrong = begun(order, "M-5", PerformedProcedureStepStatus="COMPLETED")
    assert await send(house, generate_uid(), wrong, new=True) == INVALID
    assert await send(house, uid, ended("FINISHED")) == INVALID
    assert await send(house, uid, ended("COMPLETED")) == 0
    assert await send(house, uid, ended("DISCONTINUED")) == FAILURE
    assert await state_of(house.client, target(order)) == "completed"


async def test_an_order_that_cannot_follow_leaves_a_note(house: House) -> None:
    who = await patient(house.client, "M-6")
    order, first, second = await scheduled(house.client, who), generate_uid(), generate_uid()
    assert await send(house, first, begun(order, "M-6"), new=True) == 0
    assert await send(house, first, ended("COMPLETED")) == 0
    later = begun(order, "M-6", PerformedProcedureStepStartTime="101500")
    assert await send(house, second, later, new=True) == 0
    found = await procedure(house.client, second)
    assert "start was not possible" in found["note"][0]["text"]
    assert await state_of(house.client, target(order)) == "completed"


async def test_many_devices_at_once_lose_nothing(house: House) -> None:
    who = await patient(house.client, "M-7")
    orders = [await scheduled(house.client, who) for _ in range(6)]
    uids = [generate_uid() for _ in orders]
    pairs = list(zip(orders, uids, strict=True))
    sent = (send(house, uid, begun(order, "M-7"), new=True) for order, uid in pairs)
    assert await asyncio.gather(*sent) == [0] * 6
    sent = (send(house, uid, ended("COMPLETED")) for _, uid in pairs)
    assert await asyncio.gather(*sent) == [0] * 6
    assert [await state_of(house.client, target(each)) for each in orders] == ["completed"] * 6
