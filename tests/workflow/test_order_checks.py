"""Whom an order names: who must exist, belong together and be active (ORD-2, ORD-3, ORD-12)."""

from typing import Any

import httpx
import pytest

from fhir_server.settings import Settings
from tests.answers import refusal_of, resource_of
from tests.http.serving import serving
from tests.workflow.ordering import (
    Resource,
    Ward,
    category,
    codes,
    encounter,
    order,
    reference,
    state,
    task_of,
    ward,
)

MISMATCH = "PATIENT_PROVIDER_MISMATCH"


@pytest.fixture
async def at(client: httpx.AsyncClient) -> Ward:
    return await ward(client)


async def refused(client: httpx.AsyncClient, given: Resource) -> tuple[list[str], str]:
    """The codes and the text of a refusal; no Task may be left of it."""
    answer = await client.post("ServiceRequest", json=given)
    outcome = resource_of(answer, 422)
    return codes(outcome), refusal_of(answer, 422)


@pytest.mark.parametrize("type_", ["imaging", "laboratory", "procedure"])
@pytest.mark.parametrize("name", ["encounter", "requester", "priority", "reasonCode"])
async def test_ord_2_an_order_without_what_it_needs_is_refused(
    client: httpx.AsyncClient, at: Ward, type_: str, name: str
) -> None:
    given = order(at, type_)
    del given[name]
    answer = await client.post("ServiceRequest", json=given)
    assert answer.status_code == 422, answer.text
    assert {"reasonCode": "indication"}.get(name, name) in answer.text


async def test_ord_2_the_priority_asap_is_accepted(client: httpx.AsyncClient, at: Ward) -> None:
    resource_of(await client.post("ServiceRequest", json=order(at, priority="asap")), 201)


async def test_ord_2_a_body_part_to_which_the_modality_does_not_apply_is_refused(
    client: httpx.AsyncClient, at: Ward
) -> None:
    given = order(at)
    given["extension"] = [
        each | {"valueCoding": each["valueCoding"] | {"code": "MG"}} for each in given["extension"]
    ]
    answer = await client.post("ServiceRequest", json=given)
    assert "modality" in refusal_of(answer, 422)


@pytest.mark.parametrize(
    ("text", "status"), [("too short", 422), ("x" * 10, 201), ("x" * 2000, 201), ("x" * 2001, 422)]
)
async def test_ord_2_an_indication_has_10_to_2000_characters(
    client: httpx.AsyncClient, at: Ward, text: str, status: int
) -> None:
    answer = await client.post("ServiceRequest", json=order(at, reasonCode=[{"text": text}]))
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({"text": "Acute bronchitis"}, [{"text": "Acute bronchitis"}]),
        ({"coding": [{"code": "J20", "display": "Bronchitis"}]},
         [{"coding": [{"code": "J20", "display": "Bronchitis"}], "text": "Bronchitis"}]),
        ({"coding": [{"code": "J45", "display": "Asthma"}]},
         [{"coding": [{"code": "J45", "display": "Asthma"}]}]),
    ],
)  # fmt: skip
async def test_ord_2_a_diagnosis_gives_the_indication(
    client: httpx.AsyncClient, at: Ward, code: Resource, expected: list[Resource]
) -> None:
    given = order(at)
    del given["reasonCode"]
    subject = {"reference": at.patient}
    condition = {"resourceType": "Condition", "subject": subject, "code": code}
    given["reasonReference"] = [{"reference": await reference(client, condition)}]
    found = resource_of(await client.post("ServiceRequest", json=given), 201)
    assert found["reasonCode"] == expected


async def test_ord_2_a_diagnosis_too_short_to_be_an_indication_is_told_as_it_is(
    client: httpx.AsyncClient, at: Ward
) -> None:
    given = order(at)
    del given["reasonCode"]
    subject = {"reference": at.patient}
    condition = {"resourceType": "Condition", "subject": subject, "code": {"text": "Asthma"}}
    given["reasonReference"] = [{"reference": await reference(client, condition)}]
    found = resource_of(await client.post("ServiceRequest", json=given), 201)
    assert "reasonCode" not in found


async def test_ord_2_an_indication_of_its_own_stays(client: httpx.AsyncClient, at: Ward) -> None:
    subject = {"reference": at.patient}
    condition = {"resourceType": "Condition", "subject": subject, "code": {"text": "Bronchitis"}}
    given = order(at, reasonReference=[{"reference": await reference(client, condition)}])
    found = resource_of(await client.post("ServiceRequest", json=given), 201)
    assert found["reasonCode"] == given["reasonCode"]


async def test_ord_2_a_diagnosis_of_another_patient_is_refused(
    client: httpx.AsyncClient, at: Ward
) -> None:
    other = await ward(client)
    subject = {"reference": other.patient}
    condition = {"resourceType": "Condition", "subject": subject, "code": {"text": "Bronchitis"}}
    given = order(at, reasonReference=[{"reference": await reference(client, condition)}])
    found, text = await refused(client, given)
    assert found == ["VALIDATION_ERROR"]
    assert at.patient in text


@pytest.mark.parametrize("categories", [["dental"], ["imaging", "laboratory"], [""]])
async def test_ord_2_an_order_is_of_one_known_type(
    client: httpx.AsyncClient, at: Ward, categories: list[str]
) -> None:
    given = order(at, category=[category(each) for each in categories])
    answer = await client.post("ServiceRequest", json=given)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("intent", ["proposal", "plan"])
async def test_ord_2_what_is_only_planned_is_no_order(
    client: httpx.AsyncClient, at: Ward, intent: str
) -> None:
    found = resource_of(await client.post("ServiceRequest", json=order(at, intent=intent)), 201)
    assert "identifier" not in found
    assert (await client.get(f"Task/{found['id']}")).status_code == 404


@pytest.mark.parametrize("status", ["draft", "on-hold", "completed", "revoked"])
async def test_ord_3_an_order_begins_at_the_beginning(
    client: httpx.AsyncClient, at: Ward, status: str
) -> None:
    found, text = await refused(client, order(at, status=status))
    assert found == ["VALIDATION_ERROR"]
    assert status in text


async def test_ord_3_an_order_waits_for_verification_where_that_is_asked_for(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with serving(Settings(database_pool=2, verify_orders=True), database) as strict:
        for status in ("active", "draft"):
            given = order(at, status=status)
            found = resource_of(await strict.post("ServiceRequest", json=given), 201)
            task = await task_of(strict, found)
            assert (found["status"], task["status"]) == ("draft", "draft")
            assert state(task) == "pending-verification"


@pytest.mark.parametrize(
    ("element", "text", "code"),
    [
        ("subject", "Patient/none", "VALIDATION_ERROR"),
        ("subject", "Group/none", "VALIDATION_ERROR"),
        ("subject", "https://elsewhere.example.org/fhir/Patient/1", "TERRITORY_MISMATCH"),
        ("encounter", "Encounter/none", "VALIDATION_ERROR"),
        ("requester", "Practitioner/none", MISMATCH),
        ("requester", "PractitionerRole/none", MISMATCH),
        ("requester", "Organization/none", "VALIDATION_ERROR"),
        ("requester", "https://elsewhere.example.org/Practitioner/1", "TERRITORY_MISMATCH"),
    ],
)
async def test_ord_12_whom_an_order_names_must_exist_here(
    client: httpx.AsyncClient, at: Ward, element: str, text: str, code: str
) -> None:
    found, told = await refused(client, order(at) | {element: {"reference": text}})
    assert code in found
    assert text in told


async def test_ord_12_an_absolute_reference_to_this_server_is_its_own(
    client: httpx.AsyncClient, at: Ward
) -> None:
    subject = {"reference": f"http://test/fhir/{at.patient}"}
    resource_of(await client.post("ServiceRequest", json=order(at, subject=subject)), 201)


async def test_ord_12_a_deleted_patient_can_have_no_order(
    client: httpx.AsyncClient, at: Ward
) -> None:
    await client.delete(at.patient)
    found, _ = await refused(client, order(at))
    assert found == ["VALIDATION_ERROR"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"active": False}, "not active"),
        ({"link": [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]}, "Patient/b"),
    ],
)
async def test_ord_12_a_patient_must_be_active_and_not_merged(
    client: httpx.AsyncClient, at: Ward, more: Resource, told: str
) -> None:
    await client.put("Patient/b", json={"resourceType": "Patient", "id": "b"})
    id_ = at.patient.removeprefix("Patient/")
    await client.put(at.patient, json={"resourceType": "Patient", "id": id_} | more)
    found, text = await refused(client, order(at))
    assert found == ["VALIDATION_ERROR"]
    assert told in text


@pytest.mark.parametrize("status", ["finished", "cancelled", "entered-in-error"])
async def test_ord_12_an_encounter_must_not_be_over(
    client: httpx.AsyncClient, at: Ward, status: str
) -> None:
    over = await reference(client, encounter(at.patient, status=status))
    found, text = await refused(client, order(at, encounter={"reference": over}))
    assert found == ["VALIDATION_ERROR"]
    assert status in text


async def test_ord_12_patient_and_encounter_belong_together(
    client: httpx.AsyncClient, at: Ward
) -> None:
    other = await ward(client)
    found, text = await refused(client, order(at, encounter={"reference": other.encounter}))
    assert found == ["VALIDATION_ERROR"]
    assert at.patient in text


async def test_ord_12_everything_wrong_is_told_at_once(client: httpx.AsyncClient, at: Ward) -> None:
    given = order(at, encounter={"reference": "Encounter/no"}, requester={"reference": "Device/no"})
    found, _ = await refused(client, given)
    assert len(found) == 2


async def inactive(client: httpx.AsyncClient) -> str:
    return await reference(client, {"resourceType": "Practitioner", "active": False})


async def inactive_role(client: httpx.AsyncClient) -> str:
    who = {"reference": await reference(client, {"resourceType": "Practitioner"})}
    role = {"resourceType": "PractitionerRole", "active": False, "practitioner": who}
    return await reference(client, role)


async def role_of_inactive(client: httpx.AsyncClient) -> str:
    who = {"reference": await inactive(client)}
    return await reference(client, {"resourceType": "PractitionerRole", "practitioner": who})


async def role_of_nobody(client: httpx.AsyncClient) -> str:
    return await reference(client, {"resourceType": "PractitionerRole"})


@pytest.mark.parametrize("who", [inactive, inactive_role, role_of_inactive, role_of_nobody])
async def test_ord_12_a_requester_must_be_an_active_practitioner(
    client: httpx.AsyncClient, at: Ward, who: Any
) -> None:
    requester = {"reference": await who(client)}
    found, text = await refused(client, order(at, requester=requester))
    assert found == [MISMATCH]
    assert requester["reference"] in text


async def test_ord_12_a_requester_takes_part_where_that_is_asked_for(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    settings = Settings(database_pool=2, require_involved_requester=True)
    participant = [{"individual": {"reference": at.practitioner}}]
    taking_part = encounter(at.patient, participant=participant)
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": at.practitioner}}
    as_role = {"reference": await reference(client, role)}
    async with serving(settings, database) as strict:
        found, _ = await refused(strict, order(at))
        assert found == [MISMATCH]
        visit = {"reference": await reference(client, taking_part)}
        for more in ({}, {"requester": as_role}):
            given = order(at, encounter=visit) | more
            resource_of(await strict.post("ServiceRequest", json=given), 201)


@pytest.mark.parametrize(("status", "expected"), [("active", 201), ("inactive", 422)])
async def test_ord_12_or_is_in_a_care_team_of_the_patient(
    database: str, client: httpx.AsyncClient, at: Ward, status: str, expected: int
) -> None:
    settings = Settings(database_pool=2, require_involved_requester=True)
    team = {
        "resourceType": "CareTeam",
        "status": status,
        "subject": {"reference": at.patient},
        "participant": [{"member": {"reference": at.practitioner}}],
    }
    async with serving(settings, database) as strict:
        await reference(client, team)
        answer = await strict.post("ServiceRequest", json=order(at))
        assert answer.status_code == expected, answer.text
