"""What a running server has of packages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from fhir_server.fhir_json import decode
from fhir_server.load.sender import Unreachable
from fhir_server.outcome import Refusal
from fhir_server.package_command.entries import Identity, identity
from fhir_server.package_command.tags import SYSTEM, tags

Json = dict[str, Any]

_PAGE = 500


@dataclass(slots=True)
class Present:
    """What is there: resources by package, and the packages of each definition."""

    counts: dict[str, int] = field(default_factory=dict)
    packages: dict[Identity, set[str]] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, set[str]]:
        """The versions of each package by its name."""
        found: dict[str, set[str]] = {}
        for code in self.counts:
            name, _, version = code.partition("#")
            found.setdefault(name, set()).add(version)
        return found


async def present(client: httpx.AsyncClient, base_url: str) -> Present:
    """Everything that came with packages. Raises Unreachable."""
    found = Present()
    query = {"_tag": f"{SYSTEM}|", "_elements": "url,version", "_count": str(_PAGE)}
    url = f"{base_url}?{urlencode(query)}"
    async for resource in _all(client, url):
        codes = tags(resource)
        for code in codes:
            found.counts[code] = found.counts.get(code, 0) + 1
        known = identity(resource)
        if known is not None:
            found.packages[known] = codes
    return found


async def some_of(client: httpx.AsyncClient, base_url: str, package: str, count: int) -> list[Json]:
    """Some resources of a package, none when it has no more. Raises Unreachable."""
    query = {"_tag": f"{SYSTEM}|{package}", "_count": str(count)}
    return _resources(await _get(client, f"{base_url}?{urlencode(query)}"))


async def _all(client: httpx.AsyncClient, url: str) -> AsyncIterator[Json]:
    further: str | None = url
    while further is not None:
        bundle = await _get(client, further)
        for resource in _resources(bundle):
            yield resource
        links = {each.get("relation"): each.get("url") for each in bundle.get("link", ())}
        further = links.get("next")


def _resources(bundle: Json) -> list[Json]:
    return [
        each["resource"]
        for each in bundle.get("entry", ())
        if each.get("search", {}).get("mode") == "match"
    ]


async def _get(client: httpx.AsyncClient, url: str) -> Json:
    try:
        response = await client.get(url)
        found = decode(response.content)
    except httpx.TransportError as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    except Refusal as error:
        raise Unreachable(f"GET {url} gave {response.status_code}, not FHIR") from error
    if not response.is_success or not isinstance(found, dict):
        raise Unreachable(f"GET {url} gave {response.status_code}")
    return found
