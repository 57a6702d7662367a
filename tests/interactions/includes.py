"""Reading what a search includes, and a server whose pages include few resources."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.answers import diagnostics_of, link_of, resource_of
from tests.conftest import FHIR_JSON


@asynccontextmanager
async def including_at_most(most: int, database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server on a database whose pages include at most so many resources."""
    app = build(Settings(database_pool=4, max_included_resources=most), database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60
        ) as found,
    ):
        yield found


def reference(text: str) -> dict[str, str]:
    return {"reference": text}


def observation(id_: str, subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"text": id_},
        "subject": reference(subject),
        **more,
    }


def included(bundle: dict[str, Any]) -> list[str]:
    """What a page includes, as `Type/id`, with the version if it is not the first."""
    found = []
    for entry in bundle.get("entry", ()):
        if entry["search"]["mode"] == "include":
            resource = entry["resource"]
            name = f"{resource['resourceType']}/{resource['id']}"
            assert entry["fullUrl"] == f"http://test/fhir/{name}"
            version = resource["meta"]["versionId"]
            found.append(name if version == "1" else f"{name}/{version}")
    return found


def told(bundle: dict[str, Any], code: str) -> str:
    """What the outcome entry of a page says."""
    (entry,) = [item for item in bundle["entry"] if item["search"]["mode"] == "outcome"]
    return diagnostics_of(entry["resource"], code)


async def pages(client: httpx.AsyncClient, url: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while url:
        assert len(found) < 200, "the pages do not end"
        found.append(resource_of(await client.get(url)))
        url = link_of(found[-1], "next")
    return found
