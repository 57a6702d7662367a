"""search: the Bundle that answers, its pages, and how a client shapes it (R4 search.html)."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.answers import ids_of, link_of, refusal_of, resource_of, resources_of

COUNT = 45
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module", autouse=True)
async def patients(client: httpx.AsyncClient) -> set[str]:
    """Patients p0 … p44, every third of them female."""
    for number in range(COUNT):
        body = {
            "resourceType": "Patient",
            "id": f"p{number}",
            "gender": "female" if number % 3 == 0 else "male",
            "name": [{"family": f"Family{number}"}],
            "text": {"status": "generated", "div": DIV},
            "maritalStatus": {"text": "married"},
        }
        await client.put(f"Patient/p{number}", json=body)
    return {f"p{number}" for number in range(COUNT)}


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'


async def all_pages(client: httpx.AsyncClient, url: str | None) -> list[str]:
    found: list[str] = []
    while url:
        bundle = resource_of(await client.get(url))
        found += [resource["id"] for resource in resources_of(bundle)]
        url = link_of(bundle, "next")
    return found


@pytest.mark.parametrize("count", [1, 7, 15, 44, 45, 46, 1000])
async def test_pages_concatenate_to_the_full_result(
    client: httpx.AsyncClient, patients: set[str], count: int
) -> None:
    found = await all_pages(client, f"Patient?_count={count}&family=family")
    assert len(found) == len(set(found)) == COUNT
    assert found == await all_pages(client, "Patient?_count=1000&family=family")


async def test_pages_repeat_nothing_while_others_write(
    client: httpx.AsyncClient, patients: set[str]
) -> None:
    async def write() -> None:
        for number in range(30):
            body = {"resourceType": "Patient", "name": [{"family": "Family-new"}]}
            await client.post("Patient", json=body)
            body |= {"id": f"p{number}", "birthDate": "2000"}
            await client.put(f"Patient/p{number}", json=body)

    writing = asyncio.create_task(write())
    found = await all_pages(client, "Patient?_count=3&family=family")
    await writing
    assert len(found) == len(set(found))
    assert patients <= set(found)


async def test_a_page_has_twenty_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Patient"))
    assert len(bundle["entry"]) == 20
    assert link_of(bundle, "next") is not None


async def test_entries_say_where_they_live_and_why_they_are_here(client: httpx.AsyncClient) -> None:
    (entry,) = resource_of(await client.get("Patient?_id=p1"))["entry"]
    assert entry["fullUrl"] == "http://test/fhir/Patient/p1"
    assert entry["search"] == {"mode": "match"}


async def test_the_self_link_shows_what_was_applied_and_repeats_the_search(
    client: httpx.AsyncClient,
) -> None:
    search = "Patient?gender=male&family=family1,family2%5C%2C&_count=5&_elements=gender"
    bundle = resource_of(await client.get(search))
    again = link_of(bundle, "self")
    assert again is not None
    assert again.startswith("http://test/fhir/Patient?gender=male&family=")
    assert "_count=5" in again
    assert ids_of(resource_of(await client.get(again))) == ids_of(bundle)
    assert link_of(resource_of(await client.get(again)), "self") == again


async def test_a_format_asked_for_in_a_form_counts(client: httpx.AsyncClient) -> None:
    answer = await client.post("Patient/_search", content="_format=ttl", headers=FORM)
    refusal_of(answer, 406)
    pretty = await client.post("Patient/_search", content="_pretty=true&_id=p1", headers=FORM)
    assert "\n  " in pretty.text


@pytest.mark.parametrize("search", ["Patient?_summary=count", "Patient?_count=0"])
async def test_a_count_has_the_total_and_no_entries(client: httpx.AsyncClient, search: str) -> None:
    bundle = resource_of(await client.get(f"{search}&gender=female"))
    assert "entry" not in bundle
    assert bundle["total"] >= 5
    assert link_of(bundle, "next") is None


async def test_totals_come_when_asked_for(client: httpx.AsyncClient) -> None:
    everything = len(await all_pages(client, "Patient?_count=1000"))
    accurate = resource_of(await client.get("Patient?_total=accurate&_count=2"))
    assert accurate["total"] == everything
    following = link_of(accurate, "next")
    assert following is not None
    assert resource_of(await client.get(following))["total"] == everything
    assert "total" not in resource_of(await client.get("Patient?_total=none&_count=2"))
    refusal_of(await client.get("Patient?_total=exact"), 400, "value")


SUMMARIES = [
    ("_summary=text", {"text"}),
    ("_summary=data", {"gender", "name", "maritalStatus"}),
    ("_summary=true", {"gender", "name"}),
    ("_elements=gender,name", {"gender", "name"}),
    ("_elements=Patient.gender, name", {"gender", "name"}),
    ("_elements=nonsense", set()),
    ("_summary=false", {"gender", "name", "maritalStatus", "text"}),
]


@pytest.mark.parametrize(("shape", "expected"), SUMMARIES)
async def test_a_summary_has_its_elements_and_says_that_it_is_one(
    client: httpx.AsyncClient, shape: str, expected: set[str]
) -> None:
    (found,) = resources_of(resource_of(await client.get(f"Patient?_id=p44&{shape}")))
    assert set(found) - {"resourceType", "id", "meta"} == expected
    tags = [tag["code"] for tag in found["meta"].get("tag", ())]
    assert tags == ([] if shape == "_summary=false" else ["SUBSETTED"])
    assert found["meta"]["versionId"] == "1"


async def test_elements_and_pages_go_together(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Patient?_elements=gender&_count=2"))
    following = link_of(bundle, "next")
    assert following is not None
    for found in resources_of(resource_of(await client.get(following))):
        assert "name" not in found


@pytest.mark.parametrize(
    "search",
    [
        "_summary=yes",
        "_summary=true&_elements=name",
        "_elements=name&_elements=gender",
        "_elements=",
        "_count=-1",
        "_count=x",
        "_count=1&_count=2",
        "_cursor=x",
        "_cursor=WyJhIl0",
    ],
)
async def test_a_shape_that_is_not_understood_is_refused(
    client: httpx.AsyncClient, search: str
) -> None:
    refusal_of(await client.get(f"Patient?{search}"), 400)


async def test_a_resource_is_found_by_its_new_values_alone(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {
        "resourceType": "Patient",
        "id": "moving",
        "name": [{"family": "Before"}],
        "birthDate": "1901-01-01",
        "gender": "other",
    }
    await client.put("Patient/moving", json=body)
    after = body | {"name": [{"family": "After"}], "birthDate": "1902-02-02", "gender": "unknown"}
    await client.put("Patient/moving", json=after)
    for search in ("family=before", "family:exact=Before", "birthdate=1901", "gender=other"):
        assert resource_of(await client.get(f"Patient?{search}"))["total"] == 0
    for search in ("family=after", "family:exact=After", "birthdate=1902", "gender=unknown"):
        assert ids_of(resource_of(await client.get(f"Patient?{search}"))) == {"moving"}
