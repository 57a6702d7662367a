"""Writes are held to R4's invariants and to the profiles of the settings and the resource."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON
from tests.validation.test_stored import URL, needs, profile, put

ENFORCED = URL + "enforced"
CLAIMED = URL + "claimed"
BROKEN = {"resourceType": "Patient", "contact": [{"relationship": [{"text": "aunt"}]}]}


@pytest.fixture(scope="module")
async def strict(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A second process on the same database, which enforces a profile on Patient."""
    settings = Settings(
        database_pool=4, enforce_profiles=f"Patient={ENFORCED}", honour_meta_profile=False
    )
    async with _client(settings, database) as found:
        yield found


@pytest.fixture(scope="module")
async def demanding(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """One that demands R4's invariants."""
    async with _client(Settings(database_pool=4, validate_invariants=True), database) as found:
        yield found


@pytest.fixture(scope="module")
async def lenient(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """One that demands nothing but structure."""
    settings = Settings(database_pool=4, validate_invariants=False, honour_meta_profile=False)
    async with _client(settings, database) as found:
        yield found


@asynccontextmanager
async def _client(settings: Settings, database: str) -> AsyncIterator[httpx.AsyncClient]:
    app = build(settings, database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60
        ) as found,
    ):
        yield found


@pytest.fixture(scope="module", autouse=True)
async def profiles(client: httpx.AsyncClient) -> None:
    await put(client, profile("enforced", needs("gender")))
    await put(client, profile("claimed", needs("birthDate")))


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "meta": {"profile": [CLAIMED]}} | more


def entry(method: str, url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, "resource": resource}


def bundle(*entries: dict[str, Any], type_: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def refused(answer: httpx.Response, status: int, place: str, rule: str) -> None:
    """Assert a refusal with one issue that names the place and the rule with its profile."""
    assert answer.status_code == status, answer.text
    (issue,) = answer.json()["issue"]
    assert issue["expression"] == [place]
    assert f"[{rule} of http://" in issue["diagnostics"]
    assert issue["details"]["coding"][0]["code"] == rule


async def test_a_broken_invariant_is_refused_at_every_door(
    demanding: httpx.AsyncClient,
) -> None:
    client = demanding
    place = "Patient.contact[0]"
    refused(await client.post("Patient", json=BROKEN), 400, place, "pat-1")
    refused(await client.put("Patient/i", json=BROKEN | {"id": "i"}), 400, place, "pat-1")
    refused(await client.put("Patient?_id=i", json=BROKEN), 400, place, "pat-1")
    await put(client, {"resourceType": "Patient", "id": "i"})
    patch = [{"op": "add", "path": "/contact", "value": BROKEN["contact"]}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await client.patch("Patient/i", json=patch, headers=headers)
    refused(answer, 422, place, "pat-1")
    answer = await client.post("", json=bundle(entry("POST", "Patient", BROKEN)))
    refused(answer, 400, "Bundle.entry[0].resource.contact[0]", "pat-1")
    answer = await client.post("", json=bundle(entry("POST", "Patient", BROKEN), type_="batch"))
    assert answer.json()["entry"][0]["response"]["status"].startswith("400")


async def test_invariants_need_not_be_demanded(lenient: httpx.AsyncClient) -> None:
    assert (await lenient.post("Patient", json=BROKEN)).status_code == 201


async def test_a_claimed_profile_is_enforced_at_every_door(client: httpx.AsyncClient) -> None:
    refused(await client.post("Patient", json=patient()), 422, "Patient.birthDate", "min")
    refused(await client.put("Patient/c", json=patient(id="c")), 422, "Patient.birthDate", "min")
    refused(await client.put("Patient?_id=c", json=patient()), 422, "Patient.birthDate", "min")
    await put(client, patient(id="c", birthDate="2000"))
    headers = {"Content-Type": "application/json-patch+json"}
    patch = [{"op": "remove", "path": "/birthDate"}]
    answer = await client.patch("Patient/c", json=patch, headers=headers)
    refused(answer, 422, "Patient.birthDate", "min")
    patching = bundle(
        {
            "request": {"method": "PATCH", "url": "Patient/c"},
            "resource": {
                "resourceType": "Parameters",
                "parameter": [
                    {
                        "name": "operation",
                        "part": [
                            {"name": "type", "valueCode": "delete"},
                            {"name": "path", "valueString": "Patient.birthDate"},
                        ],
                    }
                ],
            },
        }
    )
    refused(await client.post("", json=patching), 422, "Bundle.entry[0].resource.birthDate", "min")
    good = entry("POST", "Patient", patient(birthDate="2000"))
    bad = entry("POST", "Patient", patient(identifier=[{"system": "urn:t", "value": "bad"}]))
    answer = await client.post("", json=bundle(good, bad))
    refused(answer, 422, "Bundle.entry[1].resource.birthDate", "min")
    answer = await client.post("", json=bundle(good, bad, type_="batch"))
    statuses = [each["response"]["status"][:3] for each in answer.json()["entry"]]
    assert statuses == ["201", "422"]


async def test_a_contained_resource_is_held_to_its_claim(client: httpx.AsyncClient) -> None:
    inside = patient(id="a")
    outside = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "#a"}}
    answer = await client.post("Basic", json=outside | {"contained": [inside]})
    refused(answer, 422, "Basic.contained[0].birthDate", "min")


async def test_an_unknown_claim_is_no_error(client: httpx.AsyncClient) -> None:
    unknown = {"profile": [URL + "nowhere"]}
    assert (await client.post("Patient", json=patient(meta=unknown))).status_code == 201


async def test_claims_need_not_be_honoured(lenient: httpx.AsyncClient) -> None:
    assert (await lenient.post("Patient", json=patient())).status_code == 201


async def test_a_profile_of_the_settings_is_enforced_on_its_type(
    strict: httpx.AsyncClient,
) -> None:
    refused(
        await strict.post("Patient", json={"resourceType": "Patient"}), 422, "Patient.gender", "min"
    )
    answer = await strict.post("Patient", json=patient(gender="male"))
    assert answer.status_code == 201, answer.text
    assert (await strict.post("Group", json=GROUP)).status_code == 201


GROUP = {"resourceType": "Group", "type": "person", "actual": True}


async def test_the_next_write_sees_a_changed_profile(
    client: httpx.AsyncClient, strict: httpx.AsyncClient
) -> None:
    male = {"resourceType": "Patient", "gender": "male"}
    await put(client, profile("enforced", needs("name")))
    refused(await strict.post("Patient", json=male), 422, "Patient.name", "min")
    assert (await client.delete("StructureDefinition/enforced")).status_code == 204
    refused(await strict.post("Patient", json=male), 422, "Patient", "profile")
    await put(client, profile("enforced", needs("gender")))
    assert (await strict.post("Patient", json=male)).status_code == 201


async def test_a_binding_is_held_to_a_stored_value_set(client: httpx.AsyncClient) -> None:
    url = "http://example.org/fhir/ValueSet/status"
    include = {"system": "urn:test", "concept": [{"code": "a"}]}
    value_set = {"resourceType": "ValueSet", "id": "status", "url": url, "status": "active"}
    binding = {"strength": "required", "valueSet": url}
    await put(client, value_set | {"compose": {"include": [include]}})
    await put(client, profile("bound", {"path": "Patient.maritalStatus", "binding": binding}))

    def single(code: str) -> dict[str, Any]:
        coding = [{"system": "urn:test", "code": code}]
        return patient(meta={"profile": [URL + "bound"]}, maritalStatus={"coding": coding})

    assert (await client.post("Patient", json=single("a"))).status_code == 201
    answer = await client.post("Patient", json=single("b"))
    refused(answer, 422, "Patient.maritalStatus", "binding")
