"""The three workflows from the order to its report, over HTTP (ORD-3, ORD-4, ORD-6, ORD-8)."""

from base64 import b64decode
from typing import Any

import httpx
import pytest

from fhir_server.workflow.canonicals import ORDER_STEP
from tests.answers import resource_of
from tests.operations.calling import all_values, answered
from tests.workflow.ordering import Resource, create, reference, ward
from tests.workflow.stepping import (
    FINDINGS,
    IMPRESSION,
    REPORT,
    SOON,
    Staff,
    observation,
    ordered,
    staff,
    step,
    texts,
)

BEFORE = "2026-01-01T08:00:00Z"
HB, WBC = "718-7", "6690-2"


@pytest.fixture(scope="module")
async def people(client: httpx.AsyncClient) -> Staff:
    return await staff(client)


async def timeline(client: httpx.AsyncClient, target: str) -> list[dict[str, Any]]:
    answer = await client.get(f"{target}/$timeline")
    found = answered("ServiceRequest-timeline", answer)
    return all_values(found, "event") if "parameter" in found else []


def steps(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (each["step"]["code"], each.get("from", ""), each.get("to", ""))
        for each in events
        if each["kind"] == "step"
    ]


async def test_ord_3_imaging_from_order_to_report(client: httpx.AsyncClient, people: Staff) -> None:
    at = await ward(client)
    target = await ordered(client, "imaging", at)
    room = await reference(client, {"resourceType": "Location", "name": "CT 1"})
    done = await step(
        client, target, "schedule", time=SOON, performer=people.technician, location=room,
        actor=people.scheduler,
    )  # fmt: skip
    assert (done["state"], done["order"]["status"], done["task"]["status"]) == (
        "scheduled", "active", "accepted",
    )  # fmt: skip
    assert done["order"]["occurrenceDateTime"] == SOON
    assert done["task"]["location"] == {"reference": room}
    done = await step(client, target, "start", actor=people.technician)
    assert (done["state"], done["task"]["status"]) == ("in-progress", "in-progress")
    done = await step(client, target, "complete", actor=people.technician)
    assert (done["state"], done["task"]["status"]) == ("completed", "in-progress")
    assert set(done["task"]["executionPeriod"]) == {"start", "end"}
    study = await reference(client, _study(at.patient, target))
    done = await step(client, target, "report", **texts(actor=people.radiologist))
    assert (done["state"], done["order"]["status"], done["task"]["status"]) == (
        "reported", "completed", "completed",
    )  # fmt: skip
    _check_imaging_report(done["report"], done["order"], people, study)
    events = await timeline(client, target)
    assert steps(events) == [
        ("create", "", "ordered"),
        ("schedule", "ordered", "scheduled"),
        ("start", "scheduled", "in-progress"),
        ("complete", "in-progress", "completed"),
        ("report", "completed", "reported"),
    ]
    assert [each["actor"]["reference"] for each in events if each["kind"] == "step"] == [
        at.practitioner, people.scheduler, people.technician, people.technician,
        people.radiologist,
    ]  # fmt: skip
    assert {each["kind"] for each in events} == {"step", "study", "report"}


def _study(patient: str, target: str) -> Resource:
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": patient},
        "basedOn": [{"reference": target}],
        "started": SOON,
    }


def _check_imaging_report(report: Resource, order: Resource, people: Staff, study: str) -> None:
    """ORD-6: what $report creates."""
    assert report["status"] == "final"
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{order['id']}"}]
    assert report["subject"] == order["subject"]
    assert report["encounter"] == order["encounter"]
    assert report["code"] == order["code"]
    assert report["resultsInterpreter"] == [{"reference": people.radiologist}]
    assert report["performer"] == [{"reference": people.technician}]
    assert report["issued"] == report["meta"]["lastUpdated"]
    assert report["conclusion"] == IMPRESSION
    assert [each["code"] for each in report["conclusionCode"][0]["coding"]] == ["normal"]
    assert report["imagingStudy"] == [{"reference": study}]
    (form,) = report["presentedForm"]
    assert b64decode(form["data"]).decode() == REPORT
    assert [each["valueString"] for each in report["extension"]] == [FINDINGS]


async def test_ord_3_laboratory_from_order_to_report(
    client: httpx.AsyncClient, people: Staff
) -> None:
    at = await ward(client)
    target = await ordered(client, "laboratory", at)
    blood = {"coding": [{"system": "http://snomed.info/sct", "code": "119297000"}]}
    done = await step(
        client, target, "collect-sample", actor=people.technician, type=blood, time=BEFORE
    )
    specimen = done["specimen"]
    assert (done["state"], done["task"]["status"]) == ("sample-collected", "ready")
    assert specimen["request"] == [{"reference": target}]
    assert specimen["subject"] == {"reference": at.patient}
    assert specimen["collection"] == {
        "collectedDateTime": BEFORE,
        "collector": {"reference": people.technician},
    }
    assert done["order"]["specimen"] == [{"reference": f"Specimen/{specimen['id']}"}]
    await step(client, target, "start", actor=people.technician)
    await step(client, target, "complete", actor=people.technician)
    given = [observation(HB, 9.5, low=12, high=16), observation(WBC, 7, low=4, high=10)]
    done = await step(
        client, target, "report",
        **texts(result="abnormal", observation=given, actor=people.radiologist),
    )  # fmt: skip
    assert done["state"] == "reported"
    low, normal = done["observation"]
    assert [each["interpretation"][0]["coding"][0]["code"] for each in (low, normal)] == ["L", "N"]
    for each in done["observation"]:
        assert each["status"] == "final"
        assert each["subject"] == {"reference": at.patient}
        assert each["basedOn"] == [{"reference": target}]
        assert each["specimen"] == {"reference": f"Specimen/{specimen['id']}"}
        assert each["effectiveDateTime"] == done["task"]["executionPeriod"]["end"]
    assert done["report"]["result"] == [
        {"reference": f"Observation/{each['id']}"} for each in (low, normal)
    ]
    assert done["report"]["specimen"] == done["order"]["specimen"]
    assert [name for name, *_ in steps(await timeline(client, target))] == [
        "collect-sample", "create", "start", "complete", "report",
    ]  # fmt: skip


async def test_ord_3_procedure_with_a_hold_on_its_way(
    client: httpx.AsyncClient, people: Staff
) -> None:
    target = await ordered(client, "procedure")
    await step(client, target, "schedule", time=SOON, end="2026-12-01T10:00:00Z")
    done = await step(client, target, "hold", reason="Patient has a fever")
    assert (done["state"], done["order"]["status"], done["task"]["status"]) == (
        "on-hold", "on-hold", "on-hold",
    )  # fmt: skip
    assert (await step(client, target, "resume"))["state"] == "scheduled"
    await step(client, target, "start", actor=people.technician)
    await step(client, target, "complete", actor=people.technician)
    done = await step(client, target, "report", **texts(actor=people.doctor))
    assert done["state"] == "reported"
    events = await timeline(client, target)
    assert ("hold", "scheduled", "on-hold") in steps(events)
    assert ("resume", "on-hold", "scheduled") in steps(events)
    assert "Patient has a fever" in [each.get("reason") for each in events]


async def test_ord_3_device_moves_several_steps_recorded_one_by_one(
    client: httpx.AsyncClient, people: Staff
) -> None:
    """DCM-1 and V2-1 come this way: with what made it happen as the cause."""
    at = await ward(client)
    target = await ordered(client, "imaging", at)
    study = await reference(client, _study(at.patient, target))
    done = await step(
        client, target, "complete", actor=people.device, cause=study, time="2026-01-01T08:00:00Z"
    )
    assert done["state"] == "completed"
    events = [each for each in await timeline(client, target) if each["kind"] == "step"]
    told = [each for each in events if each["step"]["code"] != "create"]
    assert steps(told) == [
        ("schedule", "ordered", "scheduled"),
        ("start", "scheduled", "in-progress"),
        ("complete", "in-progress", "completed"),
    ]
    assert {each["cause"]["reference"] for each in told} == {study}


async def test_ord_8_timeline_has_messages_charges_and_invoices(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    target = await ordered(client, "imaging", at)
    message = await reference(
        client,
        {
            "resourceType": "Communication",
            "status": "completed",
            "sent": "2026-01-01T08:00:00Z",
            "subject": {"reference": at.patient},
        },
    )
    await step(client, target, "cancel", reason="Sent in error by the ward", cause=message)
    charge = await reference(
        client,
        {
            "resourceType": "ChargeItem",
            "status": "billable",
            "code": {"text": "Chest, two views"},
            "subject": {"reference": at.patient},
            "supportingInformation": [{"reference": target}],
            "enteredDate": "2098-01-01",
        },
    )
    study = await reference(client, _study(at.patient, target) | {"started": "2098-01-01"})
    more = {
        "resourceType": "ChargeItem",
        "status": "billable",
        "code": {"text": "Contrast medium"},
        "subject": {"reference": at.patient},
        "service": [{"reference": study}],
        "enteredDate": "2098-01-02",
    }
    await create(client, more)
    invoice = {
        "resourceType": "Invoice",
        "status": "issued",
        "date": "2099-01-01",
        "lineItem": [{"chargeItemReference": {"reference": charge}}],
    }
    await create(client, invoice)
    events = await timeline(client, target)
    assert [each["kind"] for each in events] == [
        "message", "step", "step", "charge", "study", "charge", "invoice",
    ]  # fmt: skip
    assert events[2]["cause"] == {"reference": message}


async def test_ord_8_timeline_of_what_is_no_order_is_refused(client: httpx.AsyncClient) -> None:
    plain = {"resourceType": "ServiceRequest", "status": "active", "intent": "order"}
    target = await reference(client, plain | {"subject": {"reference": "Patient/x"}})
    for path in (target, "ServiceRequest/none"):
        outcome = resource_of(await client.get(f"{path}/$timeline"), 404)
        assert outcome["issue"][0]["details"]["coding"][0]["code"] == "ORDER_NOT_FOUND"


async def test_every_step_is_a_provenance_that_order_and_task_tell_of(
    client: httpx.AsyncClient,
) -> None:
    target = await ordered(client)
    done = await step(client, target, "schedule", time=SOON)
    history = done["order"]["relevantHistory"]
    assert done["task"]["relevantHistory"] == history
    told = [resource_of(await client.get(each["reference"])) for each in history]
    codes = [each["activity"]["coding"][0] for each in told]
    assert codes == [{"system": ORDER_STEP, "code": code} for code in ("create", "schedule")]
