"""Searching AuditEvents: those of the trail and those that clients store, as one."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

Json = dict[str, Any]

STORED: Json = {
    "resourceType": "AuditEvent",
    "type": {"system": "http://example.org/types", "code": "printed"},
    "action": "R",
    "agent": [{"requestor": True, "who": {"reference": "Practitioner/p"}}],
    "source": {"observer": {"display": "printer"}},
    "outcome": "0",
}


async def store(client: httpx.AsyncClient, id_: str, recorded: str, **more: Any) -> None:
    body = STORED | {"id": id_, "recorded": recorded} | more
    answer = await client.put(f"AuditEvent/{id_}", json=body)
    assert answer.status_code in (200, 201), answer.text


async def page(client: httpx.AsyncClient, url: str) -> tuple[list[str], Json]:
    """The ids of a page, and its links by relation."""
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    links = {each["relation"]: each["url"] for each in bundle["link"]}
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])], links


async def pages(client: httpx.AsyncClient, url: str) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    following: str | None = url
    while following is not None:
        ids, links = await page(client, following)
        found += ids
        following = links.get("next")
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize("sort", ["-date", "date"])
async def test_both_kinds_are_merged_by_time_over_all_pages(
    client: httpx.AsyncClient, size: int, sort: str
) -> None:
    name = f"m{size}{sort.replace('-', 'd')}"
    who = {"reference": f"Patient/{name}"}
    about = {"entity": [{"what": who}]}
    await store(client, f"{name}-old", "2001-01-01T00:00:00Z", **about)
    await store(client, f"{name}-new", "2101-01-01T00:00:00Z", **about)
    await client.put(f"Patient/{name}", json={"resourceType": "Patient", "id": name})
    for _ in range(4):
        await client.get(f"Patient/{name}")
    query = f"AuditEvent?entity=Patient/{name}&action=R,C&type=rest,printed&_sort={sort}"
    # What stored the two is an event of the trail about them and about the patient.
    found = await pages(client, f"{query}&_count={size}")
    assert len(found) == len(set(found)) == 2 + 2 + 5
    ends = [f"{name}-new", f"{name}-old"]
    assert [found[0], found[-1]] == (ends if sort == "-date" else ends[::-1])
    numbers = [int(each.removeprefix("trail-")) for each in found[1:-1]]
    assert numbers == sorted(numbers, reverse=sort == "-date")


async def test_totals_count_both(client: httpx.AsyncClient) -> None:
    await store(client, "total", "2002-01-01T00:00:00Z", outcome="8")
    await client.get("Patient/none-of-total")
    for query in ("_summary=count", "_count=0", "_total=accurate", "_total=estimate"):
        answer = await client.get(f"AuditEvent?outcome=8,4&{query}")
        trail = await client.get(f"AuditEvent?outcome=8,4&type=rest&{query}")
        assert answer.json()["total"] == trail.json()["total"] + 1


async def test_a_cursor_is_of_its_own_search(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.get("Patient/cursors")
    _, links = await page(client, "AuditEvent?entity=Patient/cursors&_count=1")
    cursor = urlsplit(links["next"]).query.rpartition("_cursor=")[2]
    answer = await client.get(f"AuditEvent?entity=Patient/other&_count=1&_cursor={cursor}")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("action=R", True),
        ("action=http://hl7.org/fhir/audit-event-action|R", True),
        ("action=http://example.org|R", False),
        ("action=C", False),
        ("outcome=4", True),
        ("outcome=0,4", True),
        ("outcome=0", False),
        ("type=rest", True),
        ("type=http://terminology.hl7.org/CodeSystem/audit-event-type|rest", True),
        ("type=http://terminology.hl7.org/CodeSystem/audit-event-type|", True),
        ("type=110114", False),
        ("subtype=read", True),
        ("subtype=http://hl7.org/fhir/restful-interaction|read", True),
        ("subtype=http://hl7.org/fhir/restful-interaction|vread", False),
        ("altid=local administrator", True),
        ("altid=somebody", False),
        ("agent-role=doctor", True),
        ("agent-role=gardener", False),
        ("address=127.0", True),
        ("address=127_0", False),
        ("address=10.", False),
        ("agent=Practitioner/p", False),
        ("date=gt2020", True),
        ("date=lt2020", False),
        ("date=ge2020-01-01&date=lt2200-01-01", True),
        ("_lastUpdated=gt2020", True),
        ("patient=selected", True),
        ("patient=Patient/selected", True),
        ("patient=http://test/fhir/Patient/selected", True),
        ("patient=other", False),
    ],
)
async def test_each_parameter_selects(client: httpx.AsyncClient, query: str, there: bool) -> None:
    await client.get("Patient/selected")
    ids, _ = await page(
        client, f"AuditEvent?entity=Patient/selected&subtype=read&_count=100&{query}"
    )
    assert bool(ids) is there


@pytest.mark.parametrize(
    "query",
    [
        "entity-name=x",
        "policy=http://example.org",
        "site=x",
        "source=Device/x",
        "agent-name=x",
        "patient.name=x",
        "patient:missing=true",
        "action:not=R",
        "_has:Provenance:target:agent=x",
        "_include=AuditEvent:patient",
        "_filter=action eq R",
        "unknown=x",
        "_sort=action",
        "date=ap2020",
        "date=nonsense",
        "agent=p",
        "action=http://hl7.org/fhir/audit-event-action|",
    ],
)
async def test_what_cannot_be_asked_of_the_trail_is_refused_by_name(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"AuditEvent?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["diagnostics"]


async def test_parameters_may_come_in_the_body(client: httpx.AsyncClient) -> None:
    await client.get("Patient/posted")
    answer = await client.post(
        "AuditEvent/_search",
        content="entity=Patient/posted&subtype=read",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert len(answer.json()["entry"]) == 1


async def test_an_own_audit_event_may_not_have_the_id_of_one_of_the_trail(
    client: httpx.AsyncClient,
) -> None:
    body = STORED | {"id": "trail-77777777", "recorded": "2020-01-01T00:00:00Z"}
    answer = await client.put("AuditEvent/trail-77777777", json=body)
    assert answer.status_code == 405
    patient = {"resourceType": "Patient", "id": "trail-1"}
    assert (await client.put("Patient/trail-1", json=patient)).status_code == 201


async def test_elements_of_events_are_left_out_as_those_of_resources(
    client: httpx.AsyncClient,
) -> None:
    await client.get("Patient/elements")
    url = "AuditEvent?entity=Patient/elements&subtype=read&_elements=recorded"
    (entry,) = (await client.get(url)).json()["entry"]
    assert "recorded" in entry["resource"]
    assert "outcome" not in entry["resource"]
