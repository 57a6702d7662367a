"""history of an instance, a type and the system (R4 http.html#history)."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.answers import link_of, refusal_of, resource_of

Identity = tuple[str, str, str]


@pytest.fixture(scope="module")
async def history(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """A patient that was created, changed, deleted and brought back, between others."""
    body: dict[str, Any] = {"resourceType": "Patient", "id": "a", "name": [{"family": "One"}]}
    await client.put("Patient/a", json=body)
    await client.post("Observation", json=OBSERVATION)
    await client.put("Patient/a", json=body | {"gender": "male"})
    await client.delete("Patient/a")
    await client.put("Patient/b", json=body | {"id": "b"})
    await client.put("Patient/a", json=body)
    bundle = resource_of(await client.get("Patient/a/_history"))
    return list(bundle["entry"])


OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def identities(bundle: dict[str, Any]) -> list[Identity]:
    """Type, id and version of every entry, in order."""
    found = []
    for entry in bundle.get("entry", ()):
        type_, id_ = entry["fullUrl"].split("/")[-2:]
        found.append((type_, id_, entry["response"]["etag"]))
    return found


async def all_pages(client: httpx.AsyncClient, url: str | None) -> list[Identity]:
    found: list[Identity] = []
    while url:
        bundle = resource_of(await client.get(url))
        found += identities(bundle)
        url = link_of(bundle, "next")
    return found


async def test_instance_history_has_every_version_newest_first(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    bundle = resource_of(await client.get("Patient/a/_history"))
    assert bundle["type"] == "history"
    assert bundle["total"] == 4
    assert [tag for _, _, tag in identities(bundle)] == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    assert [entry["request"]["method"] for entry in bundle["entry"]] == [
        "PUT",
        "DELETE",
        "PUT",
        "PUT",
    ]
    assert all(entry["fullUrl"] == "http://test/fhir/Patient/a" for entry in bundle["entry"])


async def test_each_entry_says_what_was_done_and_what_came_of_it(
    history: list[dict[str, Any]],
) -> None:
    for entry in history:
        assert entry["request"]["url"] == "Patient/a"
        assert entry["response"]["lastModified"].endswith("Z")
    assert [entry["response"]["status"][:3] for entry in history[1:]] == ["204", "200", "201"]
    assert [("resource" in entry) for entry in history] == [True, False, True, True]


async def test_an_entry_of_a_create_names_the_type_alone(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    (entry,) = resource_of(await client.get("Observation/_history"))["entry"]
    assert entry["request"] == {"method": "POST", "url": "Observation"}
    assert entry["response"]["status"].startswith("201")


async def test_type_and_system_histories_have_what_is_theirs(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    of_type = identities(resource_of(await client.get("Patient/_history?_count=100")))
    assert {type_ for type_, _, _ in of_type} == {"Patient"}
    assert len(of_type) == 5
    of_all = identities(resource_of(await client.get("_history?_count=100")))
    assert [item for item in of_all if item[0] == "Patient"] == of_type
    assert len(of_all) == 6


async def test_since_begins_at_an_instant(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    deleted = history[1]["response"]["lastModified"]
    bundle = resource_of(await client.get(f"Patient/a/_history?_since={deleted}"))
    assert [tag for _, _, tag in identities(bundle)] == ['W/"4"', 'W/"3"']
    elsewhere = quote(deleted.replace("Z", "+00:00"))
    same = resource_of(await client.get(f"Patient/a/_history?_since={elsewhere}"))
    assert identities(same) == identities(bundle)


@pytest.mark.parametrize(
    ("since", "total"), [("0001", 4), ("2001", 4), ("9999", 0), ("9999-12-31", 0)]
)
async def test_since_may_lie_far_away(
    client: httpx.AsyncClient, history: list[dict[str, Any]], since: str, total: int
) -> None:
    bundle = resource_of(await client.get(f"Patient/a/_history?_since={since}"))
    assert len(identities(bundle)) == total


async def test_at_gives_what_was_current_then(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    """An instant with milliseconds is the millisecond, so a version begun in it counts too."""
    times = [entry["response"]["lastModified"] for entry in history]
    for index, tag in ((3, 'W/"1"'), (2, 'W/"2"'), (1, 'W/"3"'), (0, 'W/"4"')):
        bundle = resource_of(await client.get(f"Patient/a/_history?_at={times[index]}"))
        assert tag in [found for _, _, found in identities(bundle)]
    before = resource_of(await client.get("Patient/a/_history?_at=2001"))
    assert identities(before) == []
    year = resource_of(await client.get(f"Patient/a/_history?_at={times[0][:4]}"))
    assert len(identities(year)) == 4


@pytest.mark.parametrize("value", ["yesterday", "2026-13", "2026-02-30", "", "2026-1-1", "0000"])
async def test_what_is_no_time_is_refused(
    client: httpx.AsyncClient, history: list[dict[str, Any]], value: str
) -> None:
    for name in ("_since", "_at"):
        refusal_of(await client.get(f"_history?{name}={value}"), 400, "value")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("path", ["Patient/a/_history", "Patient/_history", "_history"])
@pytest.mark.parametrize("sort", ["", "&_sort=_lastUpdated"])
async def test_pages_concatenate_to_the_whole(
    client: httpx.AsyncClient, history: list[dict[str, Any]], path: str, count: int, sort: str
) -> None:
    whole = identities(resource_of(await client.get(f"{path}?_count=1000{sort}")))
    paged = await all_pages(client, f"{path}?_count={count}{sort}")
    assert paged == whole


async def test_the_oldest_first_is_the_reverse(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    newest = identities(resource_of(await client.get("_history?_count=100")))
    oldest = identities(resource_of(await client.get("_history?_count=100&_sort=_lastUpdated")))
    assert oldest == newest[::-1]


async def test_count_0_tells_the_total_alone(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    bundle = resource_of(await client.get("Patient/a/_history?_count=0"))
    assert bundle["total"] == 4
    assert "entry" not in bundle
    assert link_of(bundle, "next") is None


async def test_pages_repeat_nothing_and_miss_nothing_while_others_write(
    client: httpx.AsyncClient,
) -> None:
    """Every version that stood before the first page was read comes exactly once."""
    body: dict[str, Any] = {"resourceType": "Group", "type": "person", "actual": True}
    await asyncio.gather(
        *(client.put(f"Group/g{n}", json=body | {"id": f"g{n}"}) for n in range(30))
    )
    before = identities(resource_of(await client.get("Group/_history?_count=1000")))

    async def write() -> None:
        for number in range(40):
            id_ = f"g{number % 30}"
            await client.put(f"Group/{id_}", json=body | {"id": id_, "name": f"n{number}"})

    writing = asyncio.create_task(write())
    paged = await all_pages(client, "Group/_history?_count=3")
    await writing
    assert len(paged) == len(set(paged))
    assert set(before) <= set(paged)


async def test_an_unknown_resource_has_no_history(client: httpx.AsyncClient) -> None:
    refusal_of(await client.get("Patient/nobody/_history"), 404, "not-found")


async def test_a_type_without_resources_has_an_empty_history(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Account/_history"))
    assert "entry" not in bundle


@pytest.mark.parametrize(
    "cursor", ["x", "%00", "bnVsbA", "WzFd", "WzEsMiwiMyJd", "W10", "é", "W1tbW1tbW1tbXV1dXV1d"]
)
async def test_a_cursor_of_somebody_else_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    refusal_of(await client.get(f"_history?_cursor={cursor}"), 400, "invalid")


async def test_unknown_parameters_are_refused_unless_the_client_is_lenient(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    told = refusal_of(await client.get("Patient/a/_history?name=x"), 400, "not-supported")
    assert "name" in told
    assert "_since" in told
    lenient = {"Prefer": "handling=lenient"}
    bundle = resource_of(await client.get("Patient/a/_history?name=x&_count=9", headers=lenient))
    assert link_of(bundle, "self") == "http://test/fhir/Patient/a/_history?_count=9"


async def test_elements_shape_the_versions(
    client: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    bundle = resource_of(await client.get("Patient/a/_history?_elements=gender"))
    resource = bundle["entry"][2]["resource"]
    assert set(resource) == {"resourceType", "id", "meta", "gender"}
