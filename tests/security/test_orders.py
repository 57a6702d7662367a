"""An order on its way, each step by somebody who has a token of their own: ORD-9, SEC-2."""

from typing import Any

import httpx
import pytest

from tests.security.conftest import As

OURS = "https://fhir-server.example/r4"
STAFF = ("doctor", "nurse", "scheduler", "technician", "radiologist", "receptionist")


def coding(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{OURS}/CodeSystem/{system}", "code": code}]}


def order(id_: str) -> dict[str, Any]:
    structure = f"{OURS}/StructureDefinition"
    return {
        "resourceType": "ServiceRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "category": [coding("order-type", "imaging")],
        "priority": "urgent",
        "code": {"text": "CT of the head"},
        "bodySite": [coding("body-part", "HEAD")],
        "extension": [
            {"url": f"{structure}/order-modality",
             "valueCoding": {"system": f"{OURS}/CodeSystem/modality", "code": "CT"}},
            {"url": f"{structure}/order-contrast", "valueBoolean": False},
            {"url": f"{structure}/order-clinical-history", "valueString": "Zymurgeist"},
        ],
        "subject": {"reference": "Patient/ann"},
        "encounter": {"reference": "Encounter/visit"},
        "requester": {"reference": "Practitioner/doctor"},
        "reasonCode": [{"text": "Sudden severe headache since this morning"}],
    }  # fmt: skip


@pytest.fixture(scope="module")
async def admin(someone: As) -> httpx.AsyncClient:
    client = someone("administrator")
    things: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": "ann", "active": True},
        {"resourceType": "Location", "id": "ct1", "name": "CT 1"},
        {"resourceType": "Encounter", "id": "visit", "status": "in-progress",
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
         "subject": {"reference": "Patient/ann"}},
    ]  # fmt: skip
    for role in STAFF:
        things.append({"resourceType": "Practitioner", "id": role, "active": True})
        things.append({"resourceType": "PractitionerRole", "id": role, "active": True,
                       "practitioner": {"reference": f"Practitioner/{role}"},
                       "code": [coding("role", role)]})  # fmt: skip
    for each in things:
        answer = await client.put(f"{each['resourceType']}/{each['id']}", json=each)
        assert answer.status_code == 201, answer.text
    return client


@pytest.fixture(scope="module")
def staff(someone: As, admin: httpx.AsyncClient) -> dict[str, httpx.AsyncClient]:
    return {role: someone(role, fhirUser=f"Practitioner/{role}") for role in STAFF}


async def step(
    who: httpx.AsyncClient, id_: str, name: str, **given: Any
) -> tuple[int, dict[str, Any]]:
    parts = [{"name": key, **value} for key, value in given.items()]
    body = {"resourceType": "Parameters"} | ({"parameter": parts} if parts else {})
    answer = await who.post(f"ServiceRequest/{id_}/${name}", json=body)
    return answer.status_code, answer.json()


def schedule() -> dict[str, Any]:
    return {
        "time": {"valueDateTime": "2026-11-23T09:00:00Z"},
        "performer": {"valueReference": {"reference": "Practitioner/technician"}},
        "location": {"valueReference": {"reference": "Location/ct1"}},
    }


def report() -> dict[str, Any]:
    return {
        "findings": {"valueString": "No acute intracranial findings."},
        "impression": {"valueString": "Normal CT of the head."},
        "text": {"valueString": "CT of the head without contrast: normal."},
        "result": {"valueCode": "normal"},
    }


async def test_each_step_is_done_by_those_whose_it_is(
    staff: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient
) -> None:
    made = await staff["doctor"].put("ServiceRequest/a", json=order("a"))
    assert made.status_code == 201, made.text
    for who in ("doctor", "technician", "radiologist"):
        assert (await step(staff[who], "a", "schedule", **schedule()))[0] == 403, who
    assert (await step(staff["scheduler"], "a", "schedule", **schedule()))[0] == 200
    assert (await step(staff["scheduler"], "a", "start"))[0] == 403
    for name in ("start", "complete"):
        assert (await step(staff["technician"], "a", name))[0] == 200, name
    for who in ("technician", "nurse", "receptionist"):
        assert (await step(staff[who], "a", "report", **report()))[0] == 403, who
    status, told = await step(staff["radiologist"], "a", "report", **report())
    assert status == 200, told
    task = (await admin.get("Task/a")).json()
    assert task["businessStatus"]["coding"][0]["code"] == "reported"
    found = (await admin.get("Provenance?target=ServiceRequest/a&_count=50")).json()
    agents = {e["resource"]["agent"][0]["who"].get("reference") for e in found["entry"]}
    assert {f"Practitioner/{who}" for who in ("scheduler", "technician", "radiologist")} <= agents


async def test_nobody_acts_under_the_name_of_somebody_else(
    staff: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient
) -> None:
    assert (await admin.put("ServiceRequest/b", json=order("b"))).status_code == 201
    other = {"valueReference": {"reference": "Practitioner/scheduler"}}
    status, told = await step(staff["receptionist"], "b", "schedule", **schedule(), actor=other)
    assert status == 403
    assert "who is logged in" in told["issue"][0]["diagnostics"]
    own = {"valueReference": {"reference": "PractitionerRole/receptionist"}}
    status, told = await step(staff["receptionist"], "b", "schedule", **schedule(), actor=own)
    assert status == 200, told


async def test_whoever_schedules_does_not_read_the_clinical_history(
    staff: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient
) -> None:
    assert (await admin.put("ServiceRequest/c", json=order("c"))).status_code == 201
    for path in (
        "ServiceRequest/c",
        "ServiceRequest?_id=c",
        "Task?focus=ServiceRequest/c&_include=*",
    ):
        answer = await staff["scheduler"].get(path)
        assert answer.status_code == 200, answer.text
        assert "Zymurgeist" not in answer.text
        assert "headache" not in answer.text
    assert "order-modality" in (await staff["scheduler"].get("ServiceRequest/c")).text
    _, told = await step(staff["scheduler"], "c", "schedule", **schedule())
    assert "Zymurgeist" not in str(told)
    assert "Zymurgeist" in (await admin.get("ServiceRequest/c")).text


async def test_a_change_by_who_does_not_see_all_keeps_the_rest(
    staff: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient
) -> None:
    assert (await admin.put("ServiceRequest/d", json=order("d"))).status_code == 201
    seen = (await staff["receptionist"].get("ServiceRequest/d")).json()
    assert "reasonCode" not in seen
    seen["priority"] = "stat"
    changed = await staff["receptionist"].put("ServiceRequest/d", json=seen)
    assert changed.status_code == 200, changed.text
    assert "reasonCode" not in changed.json()
    whole = (await admin.get("ServiceRequest/d")).json()
    assert whole["priority"] == "stat"
    assert whole["reasonCode"] == order("d")["reasonCode"]
    assert "Zymurgeist" in str(whole["extension"])
    assert not whole["meta"].get("tag")


async def test_rules_look_at_what_the_caller_does_not_see(
    staff: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient, someone: As
) -> None:
    """An order with results is not deleted, ORD-10, by one who sees none of them either."""
    assert (await admin.put("ServiceRequest/e", json=order("e"))).status_code == 201
    assert (await step(staff["scheduler"], "e", "schedule", **schedule()))[0] == 200
    for name in ("start", "complete"):
        assert (await step(staff["technician"], "e", name))[0] == 200
    assert (await step(staff["radiologist"], "e", "report", **report()))[0] == 200
    blind = someone("doctor", scope="user/ServiceRequest.cruds")
    assert (await blind.get("DiagnosticReport")).status_code == 403
    answer = await blind.delete("ServiceRequest/e")
    assert answer.status_code == 409, answer.text
