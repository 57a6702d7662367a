"""The definitions of packages and of this server, found by canonical as on a server."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.packages import Package
from fhir_server.storage.store import Store
from fhir_server.terminology.shipped import PLACE, shipped
from fhir_server.terminology.sources import Heading, Held, Name, choose, split_canonical

Json = dict[str, Any]

_HERE = "packages"
_KINDS = ("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap")


class Known:
    """The definitions of packages, and of terminology those of R4 too.

    provided: definitions that come with the server itself.
    """

    def __init__(self, packages: Iterable[Package], provided: Iterable[Json] = ()) -> None:
        self._rows: list[bytes] = []
        self._held: defaultdict[Name, list[tuple[Held, Heading]]] = defaultdict(list)
        for package in packages:
            for resource in package.resources:
                self._add(resource)
        for resource in provided:
            self._add(resource)

    def _add(self, resource: Json) -> None:
        type_, url = resource["resourceType"], resource.get("url")
        if type_ not in _KINDS or not isinstance(url, str):
            return
        content = encode(resource)
        try:
            heading = msgspec.json.decode(content, type=Heading)
        except msgspec.ValidationError:
            heading = Heading(url)
        self._held[Name(type_, url)].append((Held(_HERE, len(self._rows)), heading))
        self._rows.append(content)

    def structure(self, canonical: str) -> Json | None:
        """A StructureDefinition; without a version, the latest one."""
        url, version = split_canonical(canonical.partition("#")[0])
        found = choose(self._held.get(Name("StructureDefinition", url), ()), version)
        return msgspec.json.decode(self._rows[found[0].row], type=Json) if found else None

    async def locate(
        self, ctx: Context, store: Store, names: Collection[Name]
    ) -> Mapping[Name, tuple[Held, ...]]:
        """What packages and the server have under each name."""
        return {name: (*self._own(name), *shipped().locate(name)) for name in names}

    def _own(self, name: Name) -> tuple[Held, ...]:
        return tuple(held for held, _ in self._held.get(name, ()))

    async def headings(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, Heading]:
        """Their headings."""
        return {each: self._heading(each) for each in held}

    def _heading(self, held: Held) -> Heading:
        if held.place == PLACE:
            return shipped().heading(held)
        return msgspec.json.decode(self._rows[held.row], type=Heading)

    async def contents(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, bytes]:
        """Their JSON."""
        return {
            each: shipped().content(each) if each.place == PLACE else self._rows[each.row]
            for each in held
        }


class _NoDatabase:
    @asynccontextmanager
    async def connection(self, tenant: str) -> AsyncIterator[None]:
        yield None


# What the terminology passes on to its sources, which here ask no database.
NO_STORE = cast("Store", _NoDatabase())
