"""ValueSet/$expand."""

from typing import Any

import httpx
import pytest

from fhir_server.operations import expand
from tests.answers import refusal_of
from tests.operations.calling import Json, answered, parameters
from tests.terminology.given import code_system, concept, filtered, listed, value_set

ANIMALS = "http://example.org/animals"
ALL = f"{ANIMALS}/all"
MAMMALS = f"{ANIMALS}/mammals"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"

_NOT_IN_USE = {"property": [{"code": "inactive", "valueBoolean": True}]}
_ABSTRACT = {"property": [{"code": "notSelectable", "valueBoolean": True}]}
SYSTEM = code_system(
    concept(
        "animal",
        concept(
            "mammal",
            concept(
                "dog",
                "poodle",
                display="Dog",
                designation=[
                    {"language": "de", "value": "Hund"},
                    {"language": "nl-BE", "value": "Hond"},
                    {"use": {"system": "http://example.org/use", "code": "slang"}, "value": "Mutt"},
                ],
            ),
            concept("cat", display="Cat"),
        ),
        concept("bird", display="Bird"),
        **_ABSTRACT,
    ),
    concept("dodo", display="Dodo", **_NOT_IN_USE),
    url=ANIMALS,
    version="1",
)


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    stored: list[Json] = [
        SYSTEM | {"id": "animals"},
        value_set({"system": ANIMALS}, url=ALL) | {"id": "all", "name": "All"},
        value_set(filtered("concept", "is-a", "mammal", ANIMALS), url=MAMMALS)
        | {"id": "mammals", "version": "2"},
        value_set(listed("dog", "unicorn", system=ANIMALS), url=f"{ALL}/listed") | {"id": "listed"},
    ]
    for resource in stored:
        answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text


async def expanded(client: httpx.AsyncClient, query: str = "", **params: Any) -> Json:
    answer = await client.get(query or "ValueSet/$expand", params=params or None)
    return answered("ValueSet-expand", answer)


def codes(value_set: Json) -> list[str]:
    return [each["code"] for each in value_set["expansion"].get("contains", ())]


def echoed(value_set: Json) -> dict[str, Any]:
    found = {}
    for each in value_set["expansion"]["parameter"]:
        found[each["name"]] = next(value for key, value in each.items() if key != "name")
    return found


async def test_all_ways_to_name_a_value_set_give_the_same(client: httpx.AsyncClient) -> None:
    posted = value_set(filtered("concept", "is-a", "mammal", ANIMALS))
    by_url = parameters({"name": "url", "valueUri": MAMMALS})
    inline = parameters({"name": "valueSet", "resource": posted})
    found = [
        await client.get("ValueSet/$expand", params={"url": MAMMALS}),
        await client.get("ValueSet/$expand", params={"url": f"{MAMMALS}|2"}),
        await client.get("ValueSet/$expand", params={"url": MAMMALS, "valueSetVersion": "2"}),
        await client.get("ValueSet/mammals/$expand"),
        await client.post("ValueSet/mammals/$expand"),
        await client.post("ValueSet/$expand", json=by_url),
        await client.post("ValueSet/$expand", json=inline),
        await client.post("ValueSet/$expand", json=posted),
    ]
    for answer in found:
        value = answered("ValueSet-expand", answer)
        assert codes(value) == ["mammal", "dog", "poodle", "cat"]
        assert value["expansion"]["total"] == 4
        assert "offset" not in value["expansion"]


async def test_an_expansion_tells_what_it_is_made_of(client: httpx.AsyncClient) -> None:
    found = await expanded(client, url=MAMMALS)
    assert (found["url"], found["version"], found["status"]) == (MAMMALS, "2", "active")
    assert "compose" not in found
    assert echoed(found) == {"used-codesystem": f"{ANIMALS}|1"}
    assert found["expansion"]["identifier"].startswith("urn:uuid:")
    (first, *_) = found["expansion"]["contains"]
    assert first == {"system": ANIMALS, "version": "1", "code": "mammal"}


async def test_pages_follow_each_other(client: httpx.AsyncClient) -> None:
    whole = codes(await expanded(client, url=ALL))
    pages: list[str] = []
    for offset in range(0, len(whole) + 3, 3):
        found = await expanded(client, url=ALL, offset=offset, count=3)
        assert found["expansion"]["total"] == len(whole)
        assert found["expansion"]["offset"] == offset
        pages += codes(found)
    assert pages == whole


async def test_count_0_asks_how_many(client: httpx.AsyncClient) -> None:
    for nested in ("true", "false"):
        found = await expanded(client, url=ALL, count=0, excludeNested=nested)
        assert found["expansion"]["total"] == 7
        assert "contains" not in found["expansion"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filter": "do"}, ["dog", "dodo"]),
        ({"filter": "hund"}, ["dog"]),
        ({"filter": "zebra"}, []),
        ({"activeOnly": "true", "filter": "do"}, ["dog"]),
        ({"activeOnly": "false", "filter": "do"}, ["dog", "dodo"]),
        ({"excludeNotForUI": "true", "count": "2"}, ["mammal", "dog"]),
        ({"exclude-system": ANIMALS}, []),
        ({"exclude-system": f"{ANIMALS}|1"}, []),
        ({"exclude-system": f"{ANIMALS}|7", "count": "1"}, ["animal"]),
    ],
)
async def test_parameters_narrow_and_are_told(
    client: httpx.AsyncClient, query: dict[str, str], expected: list[str]
) -> None:
    found = await expanded(client, url=ALL, **query)
    assert codes(found) == expected
    told = {name: str(value) for name, value in echoed(found).items()}
    for name, text in query.items():
        assert told[name].lower() == text.lower()


async def test_codes_nest_where_asked(client: httpx.AsyncClient) -> None:
    found = await expanded(client, url=ALL, excludeNested="false")
    assert codes(found) == ["animal", "dodo"]
    assert found["expansion"]["total"] == 7
    animal = found["expansion"]["contains"][0]
    assert animal["abstract"] is True
    assert [each["code"] for each in animal["contains"]] == ["mammal", "bird"]
    dog = animal["contains"][0]["contains"][0]
    assert (dog["code"], dog["contains"][0]["code"]) == ("dog", "poodle")
    assert found["expansion"]["contains"][1]["inactive"] is True


async def test_what_is_left_out_does_not_break_nesting(client: httpx.AsyncClient) -> None:
    posted = value_set(listed("animal", "dog", "poodle", system=ANIMALS))
    answer = await client.post("ValueSet/$expand?excludeNested=false", json=posted)
    found = answered("ValueSet-expand", answer)
    (animal,) = found["expansion"]["contains"]
    assert animal["contains"][0]["code"] == "dog"


@pytest.mark.parametrize(
    ("language", "expected"), [("de", "Hund"), ("de-AT", "Hund"), ("nl", "Hond"), ("fr", "Dog")]
)
async def test_displays_come_in_a_language(
    client: httpx.AsyncClient, language: str, expected: str
) -> None:
    found = await expanded(client, url=MAMMALS, displayLanguage=language, filter="dog")
    assert found["expansion"]["contains"][0]["display"] == expected


async def test_designations_come_where_asked(client: httpx.AsyncClient) -> None:
    async def given(**query: str) -> list[str]:
        found = await expanded(client, url=MAMMALS, filter="dog", **query)
        (dog,) = found["expansion"]["contains"]
        return [each["value"] for each in dog.get("designation", ())]

    assert await given() == []
    assert await given(includeDesignations="true") == ["Hund", "Hond", "Mutt"]
    assert await given(designation="urn:ietf:bcp:47|de") == ["Hund"]
    assert await given(designation="http://example.org/use|slang") == ["Mutt"]
    assert await given(designation="urn:ietf:bcp:47|de", includeDesignations="false") == []


async def test_the_definition_comes_where_asked(client: httpx.AsyncClient) -> None:
    found = await expanded(client, url=MAMMALS, includeDefinition="true")
    assert found["compose"]["include"][0]["system"] == ANIMALS
    assert "id" not in found


async def test_codes_that_the_system_lacks_are_told(client: httpx.AsyncClient) -> None:
    found = await expanded(client, "ValueSet/listed/$expand")
    assert codes(found) == ["dog"]
    assert echoed(found)["warning-unknown-code"] == f"{ANIMALS}|unicorn"


async def test_shipped_value_sets_expand(client: httpx.AsyncClient) -> None:
    found = await expanded(client, url=GENDERS)
    assert codes(found) == ["male", "female", "other", "unknown"]
    assert found["expansion"]["contains"][0]["display"] == "Male"


@pytest.mark.parametrize(
    ("name", "version", "status"),
    [
        ("system-version", "1", 200),
        ("system-version", "9", 404),
        ("force-system-version", "9", 404),
        ("check-system-version", "1", 200),
    ],
)
async def test_versions_of_systems_are_heeded(
    client: httpx.AsyncClient, name: str, version: str, status: int
) -> None:
    answer = await client.get("ValueSet/mammals/$expand", params={name: f"{ANIMALS}|{version}"})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert f"{ANIMALS}|{version}" in refusal_of(answer, status)


async def test_a_version_that_a_value_set_names_is_checked(client: httpx.AsyncClient) -> None:
    posted = value_set({"system": ANIMALS, "version": "1"})
    query = {"check-system-version": f"{ANIMALS}|2"}
    answer = await client.post("ValueSet/$expand", json=posted, params=query)
    assert "names version 1" in refusal_of(answer, 422, "conflict")


@pytest.mark.parametrize(
    ("query", "status", "code", "named"),
    [
        ("", 400, "required", "url"),
        ("?url=http://example.org/none", 404, "not-found", "http://example.org/none"),
        (f"?url={MAMMALS}|7", 404, "not-found", "there is version 2"),
        (f"?url={MAMMALS}|2&valueSetVersion=3", 400, "invalid", "different versions"),
        (f"?url={MAMMALS}&url={ALL}", 400, "invalid", "url may be given once"),
        (f"?url={ALL}&count=-1", 400, "value", "count=-1"),
        (f"?url={ALL}&count=many", 400, "value", "count=many"),
        (f"?url={ALL}&activeOnly=yes", 400, "value", "activeOnly=yes"),
        (f"?url={ALL}&date=2020", 400, "not-supported", "date"),
        (f"?url={ALL}&hierarchy=true", 400, "not-supported", '"hierarchy"'),
        (f"?url={ALL}&valueSet=x", 400, "not-supported", "valueSet is a ValueSet"),
        (f"?url={ALL}&system-version={ANIMALS}", 400, "value", "names no version"),
        ("?url=http://snomed.info/sct?fhir_vs", 422, "not-supported", "cannot be listed"),
        ("?url=http://hl7.org/fhir/ValueSet/ucum-units", 422, "not-supported", "unitsofmeasure"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.AsyncClient, query: str, status: int, code: str, named: str
) -> None:
    assert named in refusal_of(await client.get(f"ValueSet/$expand{query}"), status, code)


async def test_an_unknown_id_is_not_found(client: httpx.AsyncClient) -> None:
    told = refusal_of(await client.get("ValueSet/none/$expand"), 404, "not-found")
    assert "ValueSet/none" in told


async def test_an_expansion_of_too_many_codes_needs_pages(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand, "MOST_SHOWN", 5)
    for query in ("", "&excludeNested=false", "&excludeNested=false&count=2"):
        answer = await client.get(f"ValueSet/$expand?url={ALL}{query}")
        assert "at most 5" in refusal_of(answer, 422, "too-costly")
    found = await expanded(client, url=ALL, count=100)
    assert len(codes(found)) == 5
    assert found["expansion"]["total"] == 7


async def test_a_fragment_is_not_taken_for_the_whole(client: httpx.AsyncClient) -> None:
    url = "http://example.org/part"
    part = code_system("a", url=url, content="fragment") | {"id": "part"}
    assert (await client.put("CodeSystem/part", json=part)).status_code == 201
    answer = await client.post("ValueSet/$expand", json=value_set({"system": url}))
    assert url in refusal_of(answer, 422, "incomplete")


async def test_a_transaction_expands_what_it_stores(client: httpx.AsyncClient) -> None:
    url = "http://example.org/new"
    entries = [
        {
            "request": {"method": "GET", "url": f"ValueSet/$expand?url={url}"},
        },
        {
            "request": {"method": "PUT", "url": "ValueSet/new"},
            "resource": value_set(listed("cat", system=ANIMALS), url=url) | {"id": "new"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await client.post("", json=bundle)
    assert answer.status_code == 200, answer.text
    assert codes(answer.json()["entry"][0]["resource"]) == ["cat"]
