"""search: the pages on which included resources come (R4 search.html#include)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.answers import ids_of, link_of, refusal_of, resource_of, resources_of
from tests.interactions.includes import (
    included,
    including_at_most,
    observation,
    pages,
    reference,
    told,
)

FEW = 3
MANY = 10


@pytest.fixture(scope="module")
async def narrow(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose pages include few resources, on the same database."""
    async with including_at_most(FEW, database) as found:
        yield found


@pytest.fixture(scope="module")
async def crowd(client: httpx.AsyncClient) -> list[str]:
    """Four patients with ten observations each, in the order of their creation."""
    for number in range(4):
        body = {"resourceType": "Patient", "id": f"c{number}", "gender": "other"}
        await client.put(f"Patient/c{number}", json=body)
    names = [f"c{number % 4}-{number}" for number in range(4 * MANY)]
    for name in names:
        body = observation(name, f"Patient/{name.partition('-')[0]}")
        assert (await client.put(f"Observation/{name}", json=body)).status_code == 201
    return names


CROWD = "Patient?gender=other&_revinclude=Observation:subject"


@pytest.mark.parametrize("count", [1, 3, 4, 20])
@pytest.mark.parametrize("sort", ["", "&_sort=_id", "&_sort=-_lastUpdated,_id"])
async def test_pages_of_includes_come_before_the_next_matches(
    narrow: httpx.AsyncClient, crowd: list[str], count: int, sort: str
) -> None:
    found = await pages(narrow, f"{CROWD}&_count={count}{sort}")
    matches = [resource["id"] for page in found for resource in resources_of(page)]
    assert sorted(matches) == ["c0", "c1", "c2", "c3"]
    windows: list[tuple[set[str], list[str]]] = []
    for page in found:
        assert len(included(page)) <= FEW
        if ids_of(page):
            windows.append((ids_of(page), []))
        windows[-1][1].extend(included(page))
    for owners, along in windows:
        expected = [f"Observation/{name}" for name in crowd if name.partition("-")[0] in owners]
        assert along == expected


async def test_a_page_tells_how_many_includes_follow(
    narrow: httpx.AsyncClient, crowd: list[str]
) -> None:
    found = await pages(narrow, f"{CROWD}&_id=c0")
    left = [told(page, "informational") for page in found[:-1]]
    assert [f"{MANY - FEW * number} more" in text for number, text in enumerate(left, 1)] == [
        True
    ] * len(left)
    assert len(left) == 3
    assert all(entry["search"]["mode"] == "include" for entry in found[-1]["entry"])


async def test_a_page_of_includes_leads_back_to_its_matches(
    narrow: httpx.AsyncClient, crowd: list[str]
) -> None:
    found = await pages(narrow, f"{CROWD}&_count=2&_sort=_id")
    owners = [ids_of(page) for page in found]
    second = owners.index({"c2", "c3"})
    for start, page in ((0, found[1]), (second, found[second + 1])):
        back = link_of(page, "previous")
        assert back is not None
        again = resource_of(await narrow.get(back))
        assert (ids_of(again), included(again)) == (owners[start], included(found[start]))
    before = link_of(found[second], "previous")
    assert before is not None
    first = await pages(narrow, before)
    assert [ids_of(page) for page in first] == owners


async def test_includes_and_totals_go_together(narrow: httpx.AsyncClient, crowd: list[str]) -> None:
    found = await pages(narrow, f"{CROWD}&_count=2&_total=accurate")
    assert {page["total"] for page in found} == {4}


async def test_a_cursor_of_includes_is_for_its_search_alone(
    narrow: httpx.AsyncClient, crowd: list[str]
) -> None:
    following = link_of(resource_of(await narrow.get(CROWD)), "next") or ""
    cursor = following.partition("_cursor=")[2]
    refusal_of(await narrow.get(f"Patient?gender=other&_cursor={cursor}"), 400)
    refusal_of(await narrow.get(f"{CROWD}&_cursor={cursor[:-2]}xx"), 400)


async def test_pages_include_what_the_matches_referred_to_when_they_were_shown(
    client: httpx.AsyncClient, narrow: httpx.AsyncClient
) -> None:
    for number in range(6):
        await client.put(
            f"Location/l{number}", json={"resourceType": "Location", "id": f"l{number}"}
        )
    body: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "planned",
        "class": {"code": "AMB"},
        "location": [{"location": reference(f"Location/l{number}")} for number in range(6)],
    }
    await client.put("Encounter/e", json=body)
    search = "Encounter?_id=e&_include=Encounter:location"
    first = resource_of(await narrow.get(search))
    await client.put("Encounter/e", json=body | {"location": []})
    await client.put("Encounter/e", json=body | {"status": "finished", "location": []})
    following = link_of(first, "next")
    assert following is not None
    (second,) = await pages(narrow, following)
    assert included(first) + included(second) == [f"Location/l{number}" for number in range(6)]
    await client.delete("Encounter/e")
    (second,) = await pages(narrow, following)
    assert included(second) == [f"Location/l{number}" for number in range(3, 6)]


async def test_pages_repeat_nothing_while_others_write(
    client: httpx.AsyncClient, narrow: httpx.AsyncClient, crowd: list[str]
) -> None:
    async def write() -> None:
        for number in range(30):
            name = crowd[number]
            subject = f"Patient/{name.partition('-')[0]}"
            await client.put(
                f"Observation/{name}",
                json=observation(name, subject, issued="2026-01-01T00:00:00Z"),
            )
            await client.post("Observation", json=observation("", subject) | {"id": "x"})

    writing = asyncio.create_task(write())
    found = await pages(narrow, f"{CROWD}&_count=2")
    await writing
    names = [
        name.rsplit("/", 1)[0] if name.count("/") > 1 else name
        for page in found
        for name in included(page)
    ]
    assert len(names) == len(set(names))
    assert {f"Observation/{name}" for name in crowd} <= set(names)


async def test_a_chain_longer_than_the_rounds_says_that_it_was_cut(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Location/d0", json={"resourceType": "Location", "id": "d0"})
    for number in range(1, 60):
        body = {
            "resourceType": "Location",
            "id": f"d{number}",
            "partOf": reference(f"Location/d{number - 1}"),
        }
        await client.put(f"Location/d{number}", json=body)
    search = "Location?_id=d{}&_include:iterate=Location:partof"
    whole = resource_of(await client.get(search.format(45)))
    assert len(included(whole)) == 45
    assert all(entry["search"]["mode"] != "outcome" for entry in whole["entry"])
    cut = resource_of(await client.get(search.format(59)))
    assert len(included(cut)) == 50
    assert "50 times" in told(cut, "too-costly")


async def test_more_than_is_taken_at_once_comes_whole_and_in_order(
    client: httpx.AsyncClient, narrow: httpx.AsyncClient
) -> None:
    await client.put("Patient/busy", json={"resourceType": "Patient", "id": "busy"})
    for part in range(2):
        entries = [
            {
                "resource": observation(f"busy-{number}", "Patient/busy"),
                "request": {"method": "PUT", "url": f"Observation/busy-{number}"},
            }
            for number in range(part * 110, part * 110 + 110)
        ]
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert (await client.post("", json=body)).status_code == 200
    expected = [f"Observation/busy-{number}" for number in range(220)]
    for rule in ("_revinclude", "_revinclude:iterate"):
        search = f"Patient?_id=busy&{rule}=Observation:subject"
        assert included(resource_of(await client.get(search))) == expected
        first = resource_of(await narrow.get(search))
        assert included(first) == expected[:FEW]
        assert f"{220 - FEW} more" in told(first, "informational")
        second = resource_of(await narrow.get(link_of(first, "next") or ""))
        assert included(second) == expected[FEW : 2 * FEW]
