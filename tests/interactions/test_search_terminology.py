"""`:in`, `:not-in`, `:above` and `:below` on tokens, by stored and shipped terminology."""

from typing import Any

import httpx
import pytest

from tests.terminology.given import Json, code_system, concept, filtered, value_set

ANIMALS = "http://example.org/animals"
MAMMALS = f"{ANIMALS}/mammals"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
SPECIES = "http://example.org/species"


def observation(id_: str, code: str, system: str = ANIMALS) -> Json:
    coding = {"system": system, "code": code}
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [coding]},
    }


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    system = code_system(
        concept("animal", concept("mammal", concept("dog", "poodle"), "cat"), "bird"), url=ANIMALS
    )
    mammals = value_set(filtered("concept", "descendent-of", "mammal", ANIMALS), url=MAMMALS)
    stored: list[Json] = [
        system | {"id": "animals"},
        mammals | {"id": "mammals"},
        *(observation(code, code) for code in ("animal", "mammal", "dog", "poodle", "cat", "bird")),
        observation("other", "dog", SPECIES),
        {"resourceType": "Patient", "id": "f", "gender": "female"},
        {"resourceType": "Patient", "id": "none"},
    ]
    for resource in stored:
        answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text


async def found(client: httpx.AsyncClient, query: str) -> set[str]:
    answer = await client.get(query)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json().get("entry", [])
    return {entry["resource"]["id"] for entry in entries}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"Observation?code:in={MAMMALS}", {"dog", "poodle", "cat"}),
        ("Observation?code:in=ValueSet/mammals", {"dog", "poodle", "cat"}),
        (f"Observation?code:not-in={MAMMALS}", {"animal", "mammal", "bird", "other"}),
        (f"Observation?code:below={ANIMALS}|dog", {"dog", "poodle"}),
        (f"Observation?code:above={ANIMALS}|dog", {"dog", "mammal", "animal"}),
        (f"Observation?code:below={ANIMALS}|bird,{ANIMALS}|dog", {"bird", "dog", "poodle"}),
        (f"Patient?gender:in={GENDERS}", {"f"}),
        (f"Patient?gender:not-in={GENDERS}", {"none"}),
    ],
)
async def test_codes_are_found_by_value_set_and_hierarchy(
    client: httpx.AsyncClient, query: str, expected: set[str]
) -> None:
    assert await found(client, query) == expected


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("Observation?code:in=http://example.org/none", "'http://example.org/none' is not known"),
        ("Observation?code:below=http://example.org/none|x", "'http://example.org/none'"),
        (f"Observation?code:below={ANIMALS}|unicorn", "has no code 'unicorn'"),
        ("Observation?code:below=http://snomed.info/sct|1", "'http://snomed.info/sct'"),
        ("Observation?code:in=http://snomed.info/sct?fhir_vs", "cannot be listed here"),
    ],
)
async def test_what_terminology_does_not_know_is_refused_by_name(
    client: httpx.AsyncClient, query: str, named: str
) -> None:
    answer = await client.get(query)
    assert answer.status_code in (400, 422)
    assert named in answer.json()["issue"][0]["diagnostics"]


async def test_a_new_code_is_found_by_the_next_search(client: httpx.AsyncClient) -> None:
    system = code_system(concept("colour", "red"), url=f"{ANIMALS}/colours")
    await client.put("CodeSystem/colours", json=system | {"id": "colours"})
    await client.put("Observation/blue", json=observation("blue", "blue", f"{ANIMALS}/colours"))
    query = f"Observation?code:below={ANIMALS}/colours|colour"
    assert await found(client, query) == set()
    system["concept"][0]["concept"].append({"code": "blue"})
    await client.put("CodeSystem/colours", json=system | {"id": "colours"})
    assert await found(client, query) == {"blue"}
    for path in ("Observation/blue", "CodeSystem/colours"):
        await client.delete(path)
