"""Building batch and transaction Bundles, and sending them."""

from typing import Any

import httpx

from tests.answers import refusal_of, resource_of

Entry = dict[str, Any]


def entry(
    method: str, url: str, resource: Any = None, full_url: str | None = None, **request: str
) -> Entry:
    """An entry; further keywords go into its request, such as `ifMatch`."""
    found: Entry = {"request": {"method": method, "url": url, **request}}
    if full_url is not None:
        found["fullUrl"] = full_url
    if resource is not None:
        found["resource"] = resource
    return found


def bundle(kind: str, *entries: Entry) -> dict[str, Any]:
    """A Bundle of entries."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


async def send(
    client: httpx.AsyncClient, kind: str, *entries: Entry, **headers: str
) -> list[Entry]:
    """Send a Bundle that is taken; the entries of the answer."""
    answer = await client.post("", json=bundle(kind, *entries), headers=headers)
    found = resource_of(answer)
    assert found["type"] == f"{kind}-response"
    assert len(found["entry"]) == len(entries)
    return list(found["entry"])


def statuses(entries: list[Entry]) -> list[int]:
    """The status of each entry of an answer."""
    return [int(item["response"]["status"][:3]) for item in entries]


def written(item: Entry) -> str:
    """`Type/id` of what an entry of an answer wrote."""
    type_, id_, _, _ = item["response"]["location"].removeprefix("http://test/fhir/").split("/")
    return f"{type_}/{id_}"


def urn(number: int) -> str:
    """A fullUrl for a new resource."""
    return f"urn:uuid:5a8c8d1e-3f7b-4c7e-9a34-{number:012d}"


def observation(subject: str = "Patient/none", **more: Any) -> dict[str, Any]:
    """An observation about somebody."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


def numbered(value: str, **more: Any) -> dict[str, Any]:
    """A patient with a record number."""
    return {
        "resourceType": "Patient",
        "name": [{"family": "Trans"}],
        "identifier": [{"system": "urn:mrn", "value": value}],
        **more,
    }


async def refused(client: httpx.AsyncClient, status: int, code: str | None, *entries: Entry) -> str:
    """Send a transaction that is refused, and see that nothing of it is stored."""
    before = await stored(client)
    told = refusal_of(await client.post("", json=bundle("transaction", *entries)), status, code)
    assert await stored(client) == before
    return told


async def stored(client: httpx.AsyncClient) -> int:
    """How many versions there are of anything."""
    history = resource_of(await client.get("_history?_summary=count"))
    return int(history["total"])
