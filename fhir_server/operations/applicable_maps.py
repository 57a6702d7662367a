"""The concept maps from one value set to another, stored and shipped."""

import functools
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.search import understood
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import execute
from fhir_server.terminology.shipped import shipped

# More maps between two value sets than this are asked to be named.
MOST_MAPS = 50


@dataclass(frozen=True, slots=True)
class Ends:
    """The value sets that a map leads from and to, by canonical; empty if unknown."""

    source: str
    target: str

    def __bool__(self) -> bool:
        return bool(self.source or self.target)

    def __str__(self) -> str:
        parts = [
            f"{word} '{name}'"
            for word, name in (("from", self.source), ("to", self.target))
            if name
        ]
        return " ".join(parts) or "between unnamed value sets"

    def fits(self, stated: "Ends") -> bool:
        """Whether a map with the stated ends is one with these; what is not stated may be any."""
        return _fits(self.source, stated.source) and _fits(self.target, stated.target)


def _fits(wanted: str, stated: str) -> bool:
    if not wanted or not stated:
        return True
    wanted_url, _, wanted_version = wanted.partition("|")
    stated_url, _, stated_version = stated.partition("|")
    versions = {wanted_version, stated_version} - {""}
    return wanted_url == stated_url and len(versions) < 2


def ends_of(resource: dict[str, Any]) -> Ends:
    """What a ConceptMap states of its value sets."""
    return Ends(
        *(
            resource.get(f"{end}Canonical") or resource.get(f"{end}Uri") or ""
            for end in ("source", "target")
        )
    )


async def applicable(engine: Engine, ctx: Context, ends: Ends) -> list[str]:
    """The canonicals of the maps that state these ends, the tenant's own first.

    Raises `Invalid` for too many.
    """
    stored = await _stored(engine, ctx, ends)
    own = {url for _, url in stored}
    names = [name for name, _ in stored]
    names += [url for url, stated in _shipped() if url not in own and _states(ends, stated)]
    if len(names) > MOST_MAPS:
        text = f"More than {MOST_MAPS} concept maps are {ends}; name one by its url"
        raise Invalid(Issue("too-costly", text))
    return names


def _states(ends: Ends, stated: Ends) -> bool:
    """Whether a map says of itself that it has the ends that are known."""
    known = (not ends.source or stated.source) and (not ends.target or stated.target)
    return bool(known) and ends.fits(stated)


async def _stored(engine: Engine, ctx: Context, ends: Ends) -> list[tuple[str, str]]:
    """References and urls of those that are stored."""
    end, name = ("source", ends.source) if ends.source else ("target", ends.target)
    url = name.partition("|")[0]
    found: dict[str, dict[str, Any]] = {}
    async with engine.store.connection(ctx.tenant) as connection:
        for code in (end, f"{end}-uri"):
            request = Request("GET", "ConceptMap", query=[(code, url)])
            at = engine.settling(ctx, connection)
            page = await execute.page(at, understood(engine, ctx, request), size=MOST_MAPS + 1)
            for row in page.matches:
                found[f"ConceptMap/{row.id}"] = decode(row.content or b"")
    return [
        (reference, resource.get("url", ""))
        for reference, resource in found.items()
        if _states(ends, ends_of(resource))
    ]


@functools.cache
def _shipped() -> tuple[tuple[str, Ends], ...]:
    """Urls and ends of the maps that come with R4."""
    maps = shipped()
    found = []
    for name in maps.names("ConceptMap"):
        (held,) = maps.locate(name)
        found.append((name.url, ends_of(decode(maps.content(held)))))
    return tuple(found)
