"""ConceptMap/$translate."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of
from tests.operations.calling import Json, all_values, answered, parameters, values

MAP = "http://example.org/map"
HERE, THERE = "http://example.org/here", "http://example.org/there"
HERE_SET, THERE_SET = f"{HERE}/values", f"{THERE}/values"


def mapping(code: str, *targets: Json) -> Json:
    return {"code": code, "target": list(targets)}


GROUP = {
    "source": HERE,
    "target": THERE,
    "element": [
        mapping("a", {"code": "A", "display": "Letter A", "equivalence": "equivalent"}),
        mapping("b", {"code": "AB", "equivalence": "wider", "comment": "rough"}),
        mapping("c", {"equivalence": "unmatched"}),
        mapping(
            "d",
            {
                "code": "D",
                "equivalence": "equivalent",
                "dependsOn": [{"property": "http://example.org/sex", "system": HERE, "value": "f"}],
                "product": [
                    {"property": "http://example.org/side", "system": THERE, "value": "left"}
                ],
            },
        ),
        mapping("e", {"code": "A", "equivalence": "narrower", "comment": "less"}),
    ],
}
RESOURCE: Json = {
    "resourceType": "ConceptMap",
    "id": "map",
    "url": MAP,
    "version": "1",
    "status": "active",
    "sourceUri": HERE_SET,
    "targetCanonical": THERE_SET,
    "group": [GROUP],
}


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    other = RESOURCE | {"id": "other", "url": f"{MAP}/other", "targetCanonical": f"{THERE_SET}2"}
    for resource in (RESOURCE, other):
        answer = await client.put(f"ConceptMap/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text


async def translated(client: httpx.AsyncClient, place: str = "", **query: str) -> Json:
    answer = await client.get(f"ConceptMap/{place}$translate", params=query)
    return answered("ConceptMap-translate", answer)


async def test_every_way_to_name_the_map_gives_the_same(client: httpx.AsyncClient) -> None:
    asked = {"code": "a", "system": HERE}
    body = parameters(
        {"name": "conceptMap", "resource": RESOURCE},
        {"name": "coding", "valueCoding": {"system": HERE, "code": "a"}},
    )
    found = [
        await translated(client, url=MAP, **asked),
        await translated(client, url=f"{MAP}|1", **asked),
        await translated(client, url=MAP, conceptMapVersion="1", **asked),
        await translated(client, "map/", **asked),
        await translated(client, source=HERE_SET, target=THERE_SET, **asked),
        await translated(client, target=THERE_SET, **asked),
        answered("ConceptMap-translate", await client.post("ConceptMap/$translate", json=body)),
    ]
    concept = {"system": THERE, "code": "A", "display": "Letter A"}
    for each in found:
        match = {"equivalence": "equivalent", "concept": concept, "source": MAP}
        assert values(each) == {"result": True, "match": match}


@pytest.mark.parametrize(
    ("code", "result", "equivalence"),
    [("a", True, "equivalent"), ("b", True, "wider"), ("c", False, "unmatched")],
)
async def test_a_code_is_mapped_as_the_map_says(
    client: httpx.AsyncClient, code: str, result: bool, equivalence: str
) -> None:
    found = values(await translated(client, url=MAP, code=code, system=HERE))
    assert found["result"] is result
    assert found["match"]["equivalence"] == equivalence
    assert ("message" in found) is not result


async def test_what_no_map_speaks_of_has_no_match(client: httpx.AsyncClient) -> None:
    for query in ({"code": "z", "system": HERE}, {"code": "a", "system": THERE}):
        found = values(await translated(client, url=MAP, **query))
        assert found == {"result": False, "message": "No match was found"}


async def test_the_target_system_narrows(client: httpx.AsyncClient) -> None:
    asked = {"url": MAP, "code": "a", "system": HERE}
    assert values(await translated(client, **asked, targetsystem=THERE))["result"] is True
    assert values(await translated(client, **asked, targetsystem=HERE))["result"] is False


async def test_maps_answer_backwards(client: httpx.AsyncClient) -> None:
    asked = {"code": "A", "system": THERE, "reverse": "true"}
    for query in ({"url": MAP}, {"source": THERE_SET, "target": HERE_SET}):
        found = await translated(client, **asked, **query)
        matches = all_values(found, "match")
        assert [each["concept"]["code"] for each in matches] == ["a", "e"]
        assert [each["equivalence"] for each in matches] == ["equivalent", "wider"]


async def test_all_maps_from_a_value_set_are_asked(client: httpx.AsyncClient) -> None:
    found = await translated(client, source=HERE_SET, code="a", system=HERE)
    sources = {each["source"] for each in all_values(found, "match")}
    assert sources == {MAP, f"{MAP}/other"}


async def test_maps_that_come_with_r4_are_found_by_their_value_sets(
    client: httpx.AsyncClient,
) -> None:
    found = await translated(
        client,
        source="http://hl7.org/fhir/ValueSet/address-use",
        code="home",
        system="http://hl7.org/fhir/address-use",
    )
    concepts = [each["concept"] for each in all_values(found, "match")]
    assert "H" in [each["code"] for each in concepts]


async def test_a_mapping_waits_for_what_it_depends_on(client: httpx.AsyncClient) -> None:
    async def ask(*items: Json) -> dict[str, Any]:
        coding = {"name": "coding", "valueCoding": {"system": HERE, "code": "d"}}
        answer = await client.post("ConceptMap/map/$translate", json=parameters(coding, *items))
        return values(answered("ConceptMap-translate", answer))

    def dependency(code: str) -> Json:
        concept = {"coding": [{"system": HERE, "code": code}]}
        element = {"name": "element", "valueUri": "http://example.org/sex"}
        return {
            "name": "dependency",
            "part": [element, {"name": "concept", "valueCodeableConcept": concept}],
        }

    for items in ((), (dependency("m"),)):
        found = await ask(*items)
        assert found["result"] is False
        assert "1 mappings depend on elements" in found["message"]
    found = await ask(dependency("f"))
    assert found["result"] is True
    assert found["match"]["product"]["concept"] == {"system": THERE, "code": "left"}


async def test_every_coding_of_a_concept_is_mapped(client: httpx.AsyncClient) -> None:
    codings = [{"system": HERE, "code": "z"}, {"system": HERE, "code": "a"}]
    item = {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}}
    answer = await client.post("ConceptMap/map/$translate", json=parameters(item))
    assert values(answered("ConceptMap-translate", answer))["result"] is True


@pytest.mark.parametrize(
    ("query", "status", "code", "named"),
    [
        ("", 400, "invalid", "code, coding, codeableConcept"),
        (f"?code=a&system={HERE}", 400, "required", "value sets"),
        (f"?code=a&url={MAP}", 400, "required", "system"),
        (f"?code=a&system={HERE}&url={MAP}|3", 404, "not-found", "there is version 1"),
        (f"?code=a&system={HERE}&source=http://x/none", 404, "not-found", "from 'http://x/none'"),
        (f"?code=a&system={HERE}&url={MAP}&target=http://x/y", 400, "invalid", "http://x/y"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.AsyncClient, query: str, status: int, code: str, named: str
) -> None:
    assert named in refusal_of(await client.get(f"ConceptMap/$translate{query}"), status, code)
