"""$validate-code, $lookup and $subsumes."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of
from tests.operations.calling import Json, all_values, answered, parameters, values
from tests.terminology.given import code_system, concept, filtered, value_set

ANIMALS = "http://example.org/animals"
MAMMALS = f"{ANIMALS}/mammals"
DOG = {"system": ANIMALS, "code": "dog"}
BIRD = {"system": ANIMALS, "code": "bird"}

SYSTEM = code_system(
    concept(
        "animal",
        concept(
            "mammal",
            concept(
                "dog",
                "poodle",
                display="Dog",
                definition="Barks",
                designation=[{"language": "de", "value": "Hund"}],
                property=[
                    {"code": "legs", "valueInteger": 4},
                    {"code": "kin", "valueCoding": {"system": ANIMALS, "code": "cat"}},
                ],
            ),
            "cat",
        ),
        "bird",
        property=[{"code": "notSelectable", "valueBoolean": True}],
    ),
    concept("dodo", property=[{"code": "inactive", "valueBoolean": True}]),
    url=ANIMALS,
    version="1",
    title="Animals",
    property=[
        {"code": "legs", "type": "integer"},
        {"code": "kin", "type": "Coding"},
    ],
)


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    mammals = value_set(filtered("concept", "is-a", "mammal", ANIMALS), url=MAMMALS)
    stored: list[Json] = [
        SYSTEM | {"id": "animals"},
        mammals | {"id": "mammals"},
        value_set({"system": ANIMALS}, url=f"{ANIMALS}/all") | {"id": "all"},
    ]
    for resource in stored:
        answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text


async def judged(client: httpx.AsyncClient, place: str, **query: str) -> dict[str, Any]:
    answer = await client.get(f"{place}/$validate-code", params=query)
    return values(answered(f"{place.partition('/')[0]}-validate-code", answer))


@pytest.mark.parametrize(
    ("query", "valid", "told"),
    [
        ({"system": ANIMALS, "code": "dog"}, True, ""),
        ({"system": ANIMALS, "code": "DOG"}, True, ""),
        ({"system": ANIMALS, "code": "bird"}, False, f"'bird' of '{ANIMALS}' is not in"),
        ({"system": ANIMALS, "code": "unicorn"}, False, "'unicorn'"),
        ({"system": "http://example.org/x", "code": "dog"}, False, "http://example.org/x"),
        ({"system": ANIMALS, "code": "dog", "display": " dog "}, True, ""),
        ({"system": ANIMALS, "code": "dog", "display": "Hund"}, True, ""),
        ({"system": ANIMALS, "code": "dog", "display": "Cat"}, False, "expected 'Dog'"),
        ({"system": ANIMALS, "code": "dog", "systemVersion": "1"}, True, ""),
        ({"system": ANIMALS, "code": "dog", "systemVersion": "2"}, False, "is '1', not '2'"),
    ],
)
async def test_a_code_in_a_value_set_is_judged(
    client: httpx.AsyncClient, query: dict[str, str], valid: bool, told: str
) -> None:
    for place, more in (("ValueSet", {"url": MAMMALS}), ("ValueSet/mammals", {})):
        found = await judged(client, place, **query, **more)
        assert found["result"] is valid
        assert told in found.get("message", "")
        if query["system"] == ANIMALS and query["code"].lower() == "dog":
            assert found["display"] == "Dog"


async def test_displays_come_in_a_language(client: httpx.AsyncClient) -> None:
    found = await judged(client, "ValueSet/mammals", **DOG, displayLanguage="de")
    assert found == {"result": True, "display": "Hund"}


async def test_a_code_no_longer_in_use_is_valid_with_a_warning(client: httpx.AsyncClient) -> None:
    found = await judged(client, "ValueSet/all", system=ANIMALS, code="dodo")
    assert found == {"result": True, "message": "The code is no longer in use"}


@pytest.mark.parametrize(("abstract", "valid"), [("true", True), ("false", False)])
async def test_abstract_codes_are_valid_unless_the_client_says_no(
    client: httpx.AsyncClient, abstract: str, valid: bool
) -> None:
    for place in ("ValueSet/all", "CodeSystem/animals"):
        found = await judged(
            client, place, code="animal", abstract=abstract,
            **({"system": ANIMALS} if place == "ValueSet/all" else {}),
        )  # fmt: skip
        assert found["result"] is valid


@pytest.mark.parametrize(
    ("codings", "valid"),
    [([DOG], True), ([BIRD], False), ([BIRD, DOG], True), ([{**BIRD, "code": "x"}, BIRD], False)],
)
async def test_one_valid_coding_is_enough(
    client: httpx.AsyncClient, codings: list[Json], valid: bool
) -> None:
    concept_item = {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}}
    answer = await client.post("ValueSet/mammals/$validate-code", json=parameters(concept_item))
    assert values(answered("ValueSet-validate-code", answer))["result"] is valid


async def test_a_doubt_matters_only_if_no_coding_is_valid(client: httpx.AsyncClient) -> None:
    posted = value_set(
        filtered("concept", "is-a", "mammal", ANIMALS), {"system": "http://snomed.info/sct"}
    )
    doubtful = {"system": "http://snomed.info/sct", "code": "1"}

    async def ask(*codings: Json) -> httpx.Response:
        item = {"name": "codeableConcept", "valueCodeableConcept": {"coding": list(codings)}}
        body = parameters(item, {"name": "valueSet", "resource": posted})
        return await client.post("ValueSet/$validate-code", json=body)

    found = values(answered("ValueSet-validate-code", await ask(doubtful, DOG)))
    assert found["result"] is True
    refusal_of(await ask(doubtful, BIRD), 422)


async def test_code_systems_judge_codes(client: httpx.AsyncClient) -> None:
    for place, more in (("CodeSystem", {"url": ANIMALS}), ("CodeSystem/animals", {})):
        found = await judged(client, place, code="poodle", **more)
        assert found == {"result": True}
        found = await judged(client, place, code="unicorn", **more)
        assert found["result"] is False
    body = parameters(
        {"name": "codeSystem", "resource": SYSTEM | {"url": "http://example.org/other"}},
        {"name": "code", "valueCode": "cat"},
    )
    answer = await client.post("CodeSystem/$validate-code", json=body)
    assert values(answered("CodeSystem-validate-code", answer))["result"] is True


@pytest.mark.parametrize(("unit", "valid"), [("mg/dL", True), ("mg per dL", False)])
async def test_grammars_judge_codes(client: httpx.AsyncClient, unit: str, valid: bool) -> None:
    found = await judged(client, "CodeSystem", url="http://unitsofmeasure.org", code=unit)
    assert found["result"] is valid


@pytest.mark.parametrize(
    ("path", "status", "code", "named"),
    [
        (f"ValueSet/$validate-code?url={MAMMALS}", 400, "invalid", "found none"),
        (f"ValueSet/$validate-code?url={MAMMALS}&code=dog", 400, "required", "system"),
        (f"ValueSet/$validate-code?code=dog&system={ANIMALS}", 400, "required", "url"),
        (f"ValueSet/none/$validate-code?code=dog&system={ANIMALS}", 404, "not-found", "none"),
        ("CodeSystem/$validate-code?url=http://example.org/no&code=x", 404, "not-found", "/no"),
        ("CodeSystem/$validate-code?code=x", 400, "required", "url"),
        (f"CodeSystem/$lookup?system={ANIMALS}&code=unicorn", 404, "code-invalid", "unicorn"),
        ("CodeSystem/$lookup?system=http://example.org/no&code=x", 404, "not-found", "/no"),
        (f"CodeSystem/$lookup?system={ANIMALS}", 400, "invalid", "code, coding"),
        (f"CodeSystem/$lookup?system={ANIMALS}|1&code=dog", 404, "not-found", "|1"),
        ("CodeSystem/$lookup?code=dog", 400, "required", "system"),
        (f"CodeSystem/$subsumes?system={ANIMALS}&codeA=dog", 400, "invalid", "codeB"),
        ("CodeSystem/$subsumes?codeA=dog&codeB=cat", 400, "required", "system"),
        (f"CodeSystem/$subsumes?system={ANIMALS}&codeA=dog&codeB=x", 400, "code-invalid", "'x'"),
        ("CodeSystem/animals/$lookup?code=dog", 404, "not-supported", "CodeSystem/$lookup"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.AsyncClient, path: str, status: int, code: str, named: str
) -> None:
    assert named in refusal_of(await client.get(path), status, code)


async def test_lookup_tells_all_that_the_system_says(client: httpx.AsyncClient) -> None:
    query = {"system": ANIMALS, "code": "dog"}
    answer = await client.get("CodeSystem/$lookup", params=query)
    found = answered("CodeSystem-lookup", answer)
    told = values(found)
    assert (told["name"], told["version"], told["display"]) == ("Animals", "1", "Dog")
    assert all_values(found, "designation") == [{"language": "de", "value": "Hund"}]
    assert all_values(found, "property") == [
        {"code": "definition", "value": "Barks"},
        {"code": "parent", "value": "mammal"},
        {"code": "child", "value": "poodle"},
        {"code": "legs", "value": 4},
        {"code": "kin", "value": {"system": ANIMALS, "code": "cat"}},
    ]
    coding = parameters({"name": "coding", "valueCoding": DOG})
    assert (await client.post("CodeSystem/$lookup", json=coding)).content == answer.content


async def test_lookup_tells_what_is_asked_for(client: httpx.AsyncClient) -> None:
    base = f"CodeSystem/$lookup?system={ANIMALS}&code=dog"
    found = answered("CodeSystem-lookup", await client.get(f"{base}&property=legs&property=parent"))
    assert [each["code"] for each in all_values(found, "property")] == ["parent", "legs"]
    assert all_values(found, "designation") == []
    found = answered("CodeSystem-lookup", await client.get(f"{base}&property=lang.de"))
    assert len(all_values(found, "designation")) == 1
    assert all_values(found, "property") == []
    found = answered("CodeSystem-lookup", await client.get(f"{base}&displayLanguage=de"))
    assert values(found)["display"] == "Hund"


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("dog", "dog", "equivalent"),
        ("animal", "poodle", "subsumes"),
        ("poodle", "animal", "subsumed-by"),
        ("bird", "dog", "not-subsumed"),
    ],
)
async def test_subsumption_is_told_by_codes_codings_and_at_the_instance(
    client: httpx.AsyncClient, a: str, b: str, expected: str
) -> None:
    codings = parameters(
        {"name": "codingA", "valueCoding": {"system": ANIMALS, "code": a}},
        {"name": "codingB", "valueCoding": {"system": ANIMALS, "code": b}},
    )
    query = {"codeA": a, "codeB": b}
    for answer in (
        await client.get("CodeSystem/$subsumes", params=query | {"system": ANIMALS}),
        await client.get("CodeSystem/animals/$subsumes", params=query),
        await client.post("CodeSystem/$subsumes", json=codings),
    ):
        assert values(answered("CodeSystem-subsumes", answer)) == {"outcome": expected}
