"""Definitions given by a test, and short ways to write them."""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from fhir_server.context import Context
from fhir_server.storage.store import Store
from fhir_server.terminology import Terminology
from fhir_server.terminology.shipped import PLACE, shipped
from fhir_server.terminology.sources import Heading, Held, Name

CTX = Context()


class _NoDatabase:
    """The sources of a test ask no database."""

    @asynccontextmanager
    async def connection(self, tenant: str) -> AsyncIterator[None]:
        yield None


NO_STORE = cast("Store", _NoDatabase())

SYSTEM = "http://example.org/system"
VALUES = "http://example.org/values"

Json = dict[str, Any]


class Given:
    """Sources that hold what a test gives them, before what is shipped."""

    def __init__(self, *resources: Json) -> None:
        self.resources = list(resources)
        self.read = 0
        self.located = 0

    def _row(self, held: Held) -> Json:
        return self.resources[held.row]

    async def locate(
        self, ctx: Context, store: Store, names: Collection[Name]
    ) -> Mapping[Name, tuple[Held, ...]]:
        self.located += 1
        return {
            name: (
                *(
                    Held("given", row, writer=json.dumps(resource))
                    for row, resource in enumerate(self.resources)
                    if Name(resource["resourceType"], resource["url"]) == name
                ),
                *shipped().locate(name),
            )
            for name in names
        }

    async def headings(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, Heading]:
        return {
            one: shipped().heading(one)
            if one.place == PLACE
            else Heading(*(self._row(one).get(name, "") for name in Heading.__struct_fields__))
            for one in held
        }

    async def contents(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, bytes]:
        self.read += len(held)
        return {
            one: shipped().content(one)
            if one.place == PLACE
            else json.dumps(self._row(one)).encode()
            for one in held
        }


def terminology(*resources: Json) -> Terminology:
    """The terminology of resources that a test gives."""
    return Terminology(Given(*resources))


def code_system(*concepts: Json | str, url: str = SYSTEM, **more: Any) -> Json:
    """A CodeSystem; a concept may be written as its code."""
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "status": "active",
        "content": "complete",
        "concept": [each if isinstance(each, dict) else {"code": each} for each in concepts],
        **more,
    }


def concept(code: str, *below: Json | str, **more: Any) -> Json:
    """A concept with those below it."""
    nested = [each if isinstance(each, dict) else {"code": each} for each in below]
    return {"code": code, **({"concept": nested} if nested else {}), **more}


def value_set(
    *include: Json, exclude: Collection[Json] = (), url: str = VALUES, **compose: Any
) -> Json:
    """A ValueSet with a compose."""
    composed: Json = {"include": list(include), **compose}
    if exclude:
        composed["exclude"] = list(exclude)
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": composed}


def listed(*codes: str, system: str = SYSTEM) -> Json:
    """An include of codes."""
    return {"system": system, "concept": [{"code": code} for code in codes]}


def filtered(property_: str, op: str, value: str, system: str = SYSTEM) -> Json:
    """An include of what fulfils one filter."""
    return {"system": system, "filter": [{"property": property_, "op": op, "value": value}]}


async def codes(engine: Terminology, url: str = VALUES) -> list[str]:
    """The codes of a value set in order."""
    expansion = await engine.expand(CTX, NO_STORE, url)
    return [member.code for member in expansion.page()]
