"""create (R4 http.html#create)."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of, resource_of

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Chalmers", "given": ["Peter"]}],
}


async def test_create_answers_with_location_tag_and_time(client: httpx.AsyncClient) -> None:
    answer = await client.post("Patient", json=PATIENT)
    created = resource_of(answer, 201)
    id_ = created["id"]
    assert answer.headers["location"] == f"http://test/fhir/Patient/{id_}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert "last-modified" in answer.headers
    assert created["meta"]["versionId"] == "1"
    assert created["name"] == PATIENT["name"]
    assert resource_of(await client.get(answer.headers["location"])) == created
    assert resource_of(await client.get(f"Patient/{id_}")) == created


async def test_the_id_of_the_body_is_replaced(client: httpx.AsyncClient) -> None:
    created = resource_of(await client.post("Patient", json=PATIENT | {"id": "mine"}), 201)
    assert created["id"] != "mine"
    assert (await client.get("Patient/mine")).status_code == 404


async def test_version_and_time_of_the_body_are_replaced_and_other_meta_is_kept(
    client: httpx.AsyncClient,
) -> None:
    meta = {
        "versionId": "7",
        "lastUpdated": "2001-01-01T00:00:00Z",
        "tag": [{"system": "urn:s", "code": "x"}],
        "source": "urn:laboratory",
    }
    created = resource_of(await client.post("Patient", json=PATIENT | {"meta": meta}), 201)
    assert created["meta"]["versionId"] == "1"
    assert created["meta"]["lastUpdated"] > "2026"
    assert created["meta"]["tag"] == meta["tag"]
    assert created["meta"]["source"] == meta["source"]


async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    told = refusal_of(await client.post("Observation", json=PATIENT), 400, "invalid")
    assert "Observation" in told
    assert "Patient" in told


async def test_everything_wrong_is_told_at_once_with_its_place(client: httpx.AsyncClient) -> None:
    body = {"resourceType": "Patient", "gender": "m", "birthDate": "1.4.1970", "nmae": []}
    outcome = resource_of(await client.post("Patient", json=body), 400)
    places = {issue["expression"][0] for issue in outcome["issue"]}
    assert {"Patient.gender", "Patient.birthDate"} <= places
    assert len(outcome["issue"]) == 3


async def test_nothing_is_stored_of_what_is_refused(client: httpx.AsyncClient) -> None:
    refusal_of(await client.post("Flag", json={"resourceType": "Flag", "status": "nonsense"}), 400)
    assert resource_of(await client.get("Flag?_summary=count"))["total"] == 0


async def test_a_conditional_reference_becomes_what_it_matches(client: httpx.AsyncClient) -> None:
    identifier = {"system": "urn:mrn", "value": "referred"}
    body = PATIENT | {"identifier": [identifier]}
    patient = resource_of(await client.post("Patient", json=body), 201)
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient?identifier=urn:mrn|referred"},
    }
    created = resource_of(await client.post("Observation", json=body), 201)
    assert created["subject"]["reference"] == f"Patient/{patient['id']}"


async def test_a_conditional_reference_without_a_match_is_refused(
    client: httpx.AsyncClient,
) -> None:
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient?identifier=urn:mrn|nobody"},
    }
    told = refusal_of(await client.post("Observation", json=body), 400, "not-found")
    assert "Patient?identifier=urn:mrn|nobody" in told


@pytest.mark.parametrize(
    ("prefer", "type_"),
    [
        ("return=minimal", None),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
        ("respond-async, return=minimal", None),
        ("return=nonsense", "Patient"),
    ],
)
async def test_prefer_decides_what_a_write_gives_back(
    client: httpx.AsyncClient, prefer: str, type_: str | None
) -> None:
    answer = await client.post("Patient", json=PATIENT, headers={"Prefer": prefer})
    assert answer.status_code == 201
    assert answer.headers["location"]
    if type_ is None:
        assert answer.content == b""
        assert answer.headers["content-length"] == "0"
    else:
        assert answer.json()["resourceType"] == type_
