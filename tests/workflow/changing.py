"""The ways in which a client may change what is stored, and the steps of orders."""

from typing import Any

import httpx

from tests.answers import resource_of
from tests.workflow.ordering import Resource

INVALID_TRANSITION = ["INVALID_STATUS_TRANSITION"]
_MERGE = {"Content-Type": "application/merge-patch+json"}


async def put(client: httpx.AsyncClient, resource: Resource) -> httpx.Response:
    """Update a resource, or create it under its id."""
    return await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)


async def update(client: httpx.AsyncClient, resource: Resource, **more: Any) -> httpx.Response:
    """Update with other elements."""
    return await put(client, resource | more)


async def patch(client: httpx.AsyncClient, resource: Resource, **more: Any) -> httpx.Response:
    """Patch elements."""
    url = f"{resource['resourceType']}/{resource['id']}"
    return await client.patch(url, json=more, headers=_MERGE)


async def update_by_condition(
    client: httpx.AsyncClient, resource: Resource, **more: Any
) -> httpx.Response:
    """Update what a query matches."""
    query = {"_id": resource["id"]}
    return await client.put(resource["resourceType"], params=query, json=resource | more)


async def patch_by_condition(
    client: httpx.AsyncClient, resource: Resource, **more: Any
) -> httpx.Response:
    """Patch what a query matches."""
    query = {"_id": resource["id"]}
    return await client.patch(resource["resourceType"], params=query, json=more, headers=_MERGE)


async def update_in_transaction(
    client: httpx.AsyncClient, resource: Resource, **more: Any
) -> httpx.Response:
    """Update as the entry of a transaction."""
    url = f"{resource['resourceType']}/{resource['id']}"
    entry = {"resource": resource | more, "request": {"method": "PUT", "url": url}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    return await client.post("", json=bundle)


WRITES = [update, patch, update_by_condition, patch_by_condition, update_in_transaction]


def deletions(*urls: str) -> Resource:
    """A transaction that deletes."""
    entries = [{"request": {"method": "DELETE", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def do(client: httpx.AsyncClient, stored: Resource, step: str, **inputs: Any) -> None:
    """Take a step with an order."""
    parameters = [{"name": name, **value} for name, value in inputs.items()]
    body = {"resourceType": "Parameters"} | ({"parameter": parameters} if parameters else {})
    resource_of(await client.post(f"ServiceRequest/{stored['id']}/${step}", json=body))


async def cancel(client: httpx.AsyncClient, stored: Resource) -> None:
    """Cancel an order."""
    await do(client, stored, "cancel", reason={"valueString": "Patient went home"})


async def started(client: httpx.AsyncClient, stored: Resource) -> Resource:
    """An imaging order once it is in progress."""
    await do(client, stored, "schedule", time={"valueDateTime": "2026-11-22T10:00:00Z"})
    await do(client, stored, "start")
    return await current(client, stored)


async def current(client: httpx.AsyncClient, stored: Resource) -> Resource:
    """An order as it is now."""
    return resource_of(await client.get(f"ServiceRequest/{stored['id']}"))
