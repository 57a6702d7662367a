"""$validate."""

from typing import Any

import httpx
import pytest

from tests.answers import diagnostics_of, refusal_of, resource_of
from tests.interactions.searching import patient, put_all
from tests.operations.calling import Json, answered, parameters

PROFILE = "http://example.org/fhir/StructureDefinition/named-patient"
NAMED = {
    "resourceType": "StructureDefinition",
    "id": "named-patient",
    "url": PROFILE,
    "version": "1.0",
    "name": "NamedPatient",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
}
FINE = patient("v", name=[{"family": "Chalmers"}], text={
    "status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'})  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    await put_all(client, [NAMED, FINE, patient("nameless")])


async def outcome(
    client: httpx.AsyncClient, path: str, body: Any = None, **headers: str
) -> list[Json]:
    """The errors of an outcome, which must be 200."""
    if body is None:
        answer = await client.get(path)
    else:
        answer = await client.post(path, json=body, headers=headers)
    found = answered("Resource-validate", answer)
    diagnostics_of(found)
    return [each for each in found["issue"] if each["severity"] in ("error", "fatal")]


async def test_a_valid_resource_has_no_errors(client: httpx.AsyncClient) -> None:
    bare = {name: value for name, value in FINE.items() if name != "id"}
    assert await outcome(client, "Patient/$validate", bare) == []
    assert await outcome(client, "Patient/$validate?mode=create", bare) == []
    body = parameters(
        {"name": "resource", "resource": bare}, {"name": "mode", "valueCode": "create"}
    )
    assert await outcome(client, "Patient/$validate", body) == []
    found = resource_of(await client.post("Patient/$validate", json=FINE))
    assert found["issue"][0]["diagnostics"] == "Nothing is wrong"


async def test_everything_that_is_wrong_is_told_with_its_place(client: httpx.AsyncClient) -> None:
    broken = {
        "resourceType": "Patient", "gender": "f", "nam": [],
        "contact": [{"gender": "male"}],
    }  # fmt: skip
    for body in (broken, parameters({"name": "resource", "resource": broken})):
        errors = await outcome(client, "Patient/$validate", body)
        places = {place for each in errors for place in each["expression"]}
        assert {"Patient.gender", "Patient.nam", "Patient.contact[0]"} <= places
        told = [(each["code"], each["diagnostics"], tuple(each["expression"])) for each in errors]
        assert len(told) == len(set(told))


async def test_a_profile_is_held_against_a_resource(client: httpx.AsyncClient) -> None:
    for query in (f"profile={PROFILE}", f"profile={PROFILE}|1.0"):
        assert await outcome(client, f"Patient/$validate?{query}", FINE) == []
        (error,) = await outcome(client, f"Patient/$validate?{query}", patient("x"))
        assert error["expression"] == ["Patient.name"]
        assert error["details"]["coding"][0]["code"] == "min"


async def test_a_profile_that_is_claimed_is_held_against_a_resource(
    client: httpx.AsyncClient,
) -> None:
    claim = patient("x", meta={"profile": [PROFILE]})
    (error,) = await outcome(client, "Patient/$validate", claim)
    assert error["details"]["coding"][0]["code"] == "min"


async def test_an_unknown_profile_is_an_error(client: httpx.AsyncClient) -> None:
    (error,) = await outcome(client, "Patient/$validate?profile=http://example.org/none", FINE)
    assert "http://example.org/none" in error["diagnostics"]


async def test_a_stored_resource_is_validated_by_its_id(client: httpx.AsyncClient) -> None:
    assert await outcome(client, f"Patient/v/$validate?profile={PROFILE}") == []
    (error,) = await outcome(client, f"Patient/nameless/$validate?profile={PROFILE}")
    assert error["expression"] == ["Patient.name"]
    refusal_of(await client.get("Patient/none/$validate"), 404, "not-found")


async def test_an_update_is_of_this_resource_and_version(client: httpx.AsyncClient) -> None:
    path = "Patient/v/$validate?mode=update"
    assert await outcome(client, path, FINE) == []
    assert await outcome(client, "Patient/new/$validate?mode=update", FINE | {"id": "new"}) == []
    (error,) = await outcome(client, path, FINE | {"id": "other"})
    assert error["expression"] == ["Patient.id"]
    (error,) = await outcome(client, path, FINE, **{"If-Match": 'W/"7"'})
    assert error["code"] == "conflict"


async def test_a_delete_needs_no_resource(client: httpx.AsyncClient) -> None:
    body = parameters({"name": "mode", "valueCode": "delete"})
    for id_ in ("v", "none"):
        assert await outcome(client, f"Patient/{id_}/$validate", body) == []
    assert await outcome(client, "Patient/v/$validate?mode=delete") == []


async def test_a_resource_of_another_type_is_an_error(client: httpx.AsyncClient) -> None:
    errors = await outcome(client, "Observation/$validate", FINE)
    assert "The URL is for the type Observation" in errors[0]["diagnostics"]


@pytest.mark.parametrize(
    "body", [{}, {"resourceType": "Nonsense"}, {"resourceType": 5}, {"active": True}]
)
async def test_what_is_no_resource_is_an_error_too(client: httpx.AsyncClient, body: Json) -> None:
    assert await outcome(client, "Patient/$validate", body)


@pytest.mark.parametrize(
    ("method", "path", "code", "told"),
    [
        ("GET", "Patient/$validate", "required", "resource"),
        ("GET", "Patient/$validate?mode=create", "required", "resource"),
        ("GET", "Patient/$validate?mode=update", "invalid", "Patient/[id]"),
        ("GET", "Patient/$validate?mode=delete", "invalid", "Patient/[id]"),
        ("GET", "Patient/v/$validate?mode=create", "invalid", "mode=create"),
        ("GET", "Patient/v/$validate?mode=profile", "value", "mode='profile'"),
        ("POST", "Patient/v/$validate?mode=update", "required", "resource"),
    ],
)
async def test_what_cannot_be_validated_is_refused(
    client: httpx.AsyncClient, method: str, path: str, code: str, told: str
) -> None:
    assert told in refusal_of(await client.request(method, path), 400, code)


async def test_a_batch_validates(client: httpx.AsyncClient) -> None:
    wrong = {"resourceType": "Patient", "x": 1}
    entries = [
        {"request": {"method": "POST", "url": "Patient/$validate"}, "resource": wrong},
        {"request": {"method": "GET", "url": "Patient/v/$validate"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = resource_of(await client.post("", json=bundle))
    severities = [each["resource"]["issue"][0]["severity"] for each in answer["entry"]]
    assert severities == ["error", "information"]
