"""Reads a definition with everything it refers to."""

import asyncio
from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec

from fhir_server.context import Context
from fhir_server.outcome import Conflict, Issue, Refusal
from fhir_server.storage.store import BoundStore, Store
from fhir_server.terminology import refusals
from fhir_server.terminology.building import Read, Wanted, references
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.implicit import implicit
from fhir_server.terminology.locks import Locks
from fhir_server.terminology.memory import Memory
from fhir_server.terminology.model import CodeSystem, ConceptMap, ValueSet
from fhir_server.terminology.sources import Heading, Held, Name, Sources, choose

# Definitions that one value set may need.
_MOST_DEFINITIONS = 2_000
_MOST_HEADINGS = 20_000
# Bytes decoded at once; what has more is decoded beside other requests.
_SMALL = 50_000
_ATTEMPTS = 3

Located = dict[Name, tuple[Held, ...]]


class Gathered(NamedTuple):
    """What a definition needs, each or why there is none, and what was held at that time."""

    read: dict[Wanted, Read | Refusal]
    located: Located


class _Changed(Exception):
    """What was located is no longer held."""


class Reader:
    """Reads from sources and keeps what it decoded, which never changes.

    most: how many concepts are kept.
    """

    def __init__(self, sources: Sources, most: int) -> None:
        self._sources = sources
        self._decoded: Memory[tuple[Held, ...], Read | Refusal] = Memory(most)
        self._locks = Locks[tuple[Held, ...]]()
        self._headings: Memory[Held, Heading] = Memory(_MOST_HEADINGS)

    async def locate(self, ctx: Context, store: Store, names: Collection[Name]) -> Located:
        """What is held under each name now."""
        return dict(await self._sources.locate(ctx, store, names))

    async def gather(self, ctx: Context, store: BoundStore, wants: Iterable[Wanted]) -> Gathered:
        """Definitions, what they refer to, and so on.

        store: with a connection of its own, because others may have to wait for what is read.
        Raises `Conflict` when others change them faster than they are read.
        """
        wants = frozenset(wants)
        for _ in range(_ATTEMPTS):
            try:
                return await self._gather(ctx, store, wants)
            except _Changed:
                continue
        raise Conflict(Issue("transient", "The definitions are being changed; try again"))

    async def find(self, ctx: Context, store: Store, want: Wanted) -> bytes | None:
        """The JSON of the one resource that is meant; of fragments, one of them."""
        located = await self.locate(ctx, store, [_name(want)])
        held = (await self._chosen(ctx, store, [want], located))[want][:1]
        return next(iter((await self._sources.contents(ctx, store, held)).values()), None)

    async def _gather(self, ctx: Context, store: Store, wants: Iterable[Wanted]) -> Gathered:
        read: dict[Wanted, Read | Refusal] = {}
        located: Located = {}
        ahead = set(wants)
        while ahead:
            if len(read) + len(ahead) > _MOST_DEFINITIONS:
                first = next(iter(read or ahead))
                why = f"it needs more than {_MOST_DEFINITIONS} definitions"
                raise refusals.not_understood(first.type, first.url, why)
            new = {_name(want) for want in ahead} - located.keys()
            located |= await self.locate(ctx, store, new)
            chosen = await self._chosen(ctx, store, ahead, located)
            found = await self._read(ctx, store, chosen, located)
            read |= found
            further = (references(each) for each in found.values())
            ahead = {want for each in further for want in each} - read.keys()
        return Gathered(read, located)

    async def _chosen(
        self, ctx: Context, store: Store, wants: Iterable[Wanted], located: Located
    ) -> dict[Wanted, tuple[Held, ...]]:
        """The resources that each reference means."""
        wants = list(wants)
        held = {one for want in wants for one in located[_name(want)]}
        unknown = [one for one in held if self._headings.get(one) is None]
        known = {one: heading for one in held if (heading := self._headings.get(one))}
        known |= await self._sources.headings(ctx, store, unknown) if unknown else {}
        for one in unknown:
            if one in known:
                self._headings.put(one, known[one])
        return {
            want: choose(
                [(one, known[one]) for one in located[_name(want)] if one in known], want.version
            )
            for want in wants
        }

    async def _read(
        self,
        ctx: Context,
        store: Store,
        chosen: dict[Wanted, tuple[Held, ...]],
        located: Located,
    ) -> dict[Wanted, Read | Refusal]:
        found: dict[Wanted, Read | Refusal] = {}
        for want, held in chosen.items():
            if not held:
                found[want] = self._absent(want, located)
                continue
            kept = self._decoded.get(held)
            if kept is None:
                async with self._locks.held(held):
                    kept = self._decoded.get(held)
                    if kept is None:
                        kept = await self._decode(ctx, store, want, held)
                        weight = len(kept) if isinstance(kept, CodeSystemIndex) else 1
                        self._decoded.put(held, kept, weight)
            found[want] = kept
        return found

    def _absent(self, want: Wanted, located: Located) -> Read | Refusal:
        said = implicit(want.url) if want.type == "ValueSet" and not want.version else None
        if said is not None:
            return said
        headings = [self._headings.get(held) for held in located[_name(want)]]
        known = ", ".join(sorted({each.version for each in headings if each and each.version}))
        return refusals.unknown(want.type, want.url, want.version, known)

    async def _decode(
        self, ctx: Context, store: Store, want: Wanted, held: tuple[Held, ...]
    ) -> Read | Refusal:
        contents = await self._sources.contents(ctx, store, held)
        if len(contents) < len(held):
            raise _Changed
        texts = [contents[one] for one in held]
        if sum(map(len, texts)) < _SMALL:
            return _decoded(want, texts)
        return await asyncio.to_thread(_decoded, want, texts)


def _name(want: Wanted) -> Name:
    return Name(want.type, want.url)


def _decoded(want: Wanted, texts: list[bytes]) -> Read | Refusal:
    try:
        if want.type == "CodeSystem":
            return CodeSystemIndex([msgspec.json.decode(text, type=CodeSystem) for text in texts])
        (text,) = texts
        if want.type == "ValueSet":
            return msgspec.json.decode(text, type=ValueSet)
        return msgspec.json.decode(text, type=ConceptMap)
    except msgspec.ValidationError as error:
        return refusals.not_understood(want.type, want.url, str(error))
