"""Storing resources to search among, and reading what a search found."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from fhir_server.search import execute, settle, sql
from tests.answers import ids_of, link_of, resource_of, resources_of

Resource = dict[str, Any]

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def resource(type_: str, id_: str, **more: Any) -> Resource:
    """A resource of a type with an id."""
    return {"resourceType": type_, "id": id_, **more}


def patient(id_: str, **more: Any) -> Resource:
    """A patient of whom nothing is known."""
    return resource("Patient", id_, **more)


def observation(id_: str, **more: Any) -> Resource:
    """An observation with what it needs."""
    return resource("Observation", id_, **{"status": "final", "code": {"text": "x"}, **more})


def reference(target: str) -> dict[str, str]:
    """A reference to `Type/id`."""
    return {"reference": target}


def coded(*codings: str, text: str | None = None) -> dict[str, Any]:
    """A CodeableConcept of `code`, `system|code` or `system|code|display` each."""
    found: dict[str, Any] = {}
    for coding in codings:
        system, code, display = [*([""] if "|" not in coding else []), *coding.split("|"), ""][:3]
        parts = {"system": system, "code": code, "display": display}
        found.setdefault("coding", []).append({name: part for name, part in parts.items() if part})
    return found | ({"text": text} if text else {})


def containing(body: Resource, *inside: Resource) -> Resource:
    """A resource with contained ones; it refers to each of them, as it has to (R4 dom-3)."""
    if not inside:
        return body
    links = [{"url": "urn:inside", "valueReference": reference(f"#{i['id']}")} for i in inside]
    return body | {"contained": list(inside), "extension": links}


async def put_all(client: httpx.AsyncClient, resources: Iterable[Resource]) -> None:
    """Store each resource under its id."""
    for body in resources:
        answer = await client.put(f"{body['resourceType']}/{body['id']}", json=body)
        assert answer.status_code in (200, 201), answer.text


async def finds(client: httpx.AsyncClient, search: str, expected: str) -> None:
    """Check that a search finds the ids that `expected` names and tells their number."""
    found = resource_of(await client.get(search))
    assert sorted(ids_of(found)) == sorted(expected.split())
    assert found["total"] == len(expected.split())


async def in_order(client: httpx.AsyncClient, search: str) -> list[str]:
    """The ids of all pages of a search, in the order they came."""
    found: list[str] = []
    url: str | None = search
    while url:
        bundle = resource_of(await client.get(url))
        found += [item["id"] for item in resources_of(bundle)]
        url = link_of(bundle, "next")
    return found


@contextmanager
def steps(short: int, long: int, gathered: int, ends: int) -> Iterator[None]:
    """Let a search take its steps, and the switches between them, with this little data.

    short, long: rows of the walks. gathered: matches at most. ends: of a chain that become keys.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "SHORT_WALK", short)
        patch.setattr(execute, "LONG_WALK", long)
        patch.setattr(execute, "MOST_GATHERED", gathered)
        patch.setattr(execute, "PROMISING", 1)
        patch.setattr(settle, "FEW_ENDS", ends)
        patch.setattr(settle, "FEW_SOURCES", ends)
        patch.setattr(sql, "_FEW_KEYS", 1)
        yield
