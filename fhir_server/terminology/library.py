"""Definitions made ready for questions, and kept as long as nothing they are made of changes.

A question costs one cheap query for what is held now; what was made of the same is used again.
So every worker sees a change at once, without being told of it.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from fhir_server.context import Context
from fhir_server.outcome import Refusal
from fhir_server.storage.definition_state import States
from fhir_server.storage.store import BoundStore, Store
from fhir_server.terminology import refusals
from fhir_server.terminology.building import Building, Wanted, references
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.concept_map import ConceptMapIndex
from fhir_server.terminology.locks import Locks
from fhir_server.terminology.members import Grammar
from fhir_server.terminology.memory import Memory
from fhir_server.terminology.model import ValueSet
from fhir_server.terminology.reading import Gathered, Located, Reader
from fhir_server.terminology.sources import Sources
from fhir_server.terminology.value_set import ValueSetRules

# Concepts, and codes of value sets, kept ready. About 900 bytes each.
_MOST_KEPT = 200_000

_Ready: TypeAlias = CodeSystemIndex | ValueSetRules | ConceptMapIndex
_Wished = TypeVar("_Wished", CodeSystemIndex, ValueSetRules, ConceptMapIndex)
_Key = tuple[str, Wanted]
# What value sets are made of.
_MADE_OF = ("CodeSystem", "ValueSet")


@dataclass(slots=True)
class _Entry:
    made: _Ready
    located: Located
    held_in: tuple[str | None, ...] | None = None


class Library:
    """The definitions of all tenants.

    grammars: by system, whether a text is a code of it.
    """

    def __init__(self, sources: Sources, grammars: Mapping[str, Grammar]) -> None:
        self._reader = Reader(sources, _MOST_KEPT)
        self._grammars = grammars
        self._entries: Memory[_Key, _Entry] = Memory(_MOST_KEPT)
        self._locks = Locks[_Key]()

    async def code_system(self, ctx: Context, store: Store, want: Wanted) -> CodeSystemIndex:
        """A code system. Raises a Refusal."""
        return await self._get(ctx, store, want, CodeSystemIndex)

    async def value_set(self, ctx: Context, store: Store, want: Wanted) -> ValueSetRules:
        """A value set. Raises a Refusal."""
        return await self._get(ctx, store, want, ValueSetRules)

    async def ready(
        self, ctx: Context, store: Store, wants: Collection[Wanted], states: States
    ) -> dict[Wanted, ValueSetRules]:
        """Those value sets that were made before and still hold.

        states: of the definitions, read before, if they are known. What held in the same states
            holds still, so that one query for all is only needed after something was written.
        """
        entries = {want: self._entries.get((ctx.tenant, want)) for want in wants}
        known = {want: entry for want, entry in entries.items() if entry is not None}
        state = tuple(states.get(type_) for type_ in _MADE_OF)
        unsure = [entry for entry in known.values() if not states or entry.held_in != state]
        names = {name for entry in unsure for name in entry.located}
        now = await self._reader.locate(ctx, store, names) if names else {}
        for entry in unsure:
            holds = all(now[name] == held for name, held in entry.located.items())
            entry.held_in = state if holds else None
        return {
            want: entry.made
            for want, entry in known.items()
            if isinstance(entry.made, ValueSetRules) and entry.held_in == state
        }

    async def concept_map(self, ctx: Context, store: Store, want: Wanted) -> ConceptMapIndex:
        """A concept map. Raises a Refusal."""
        return await self._get(ctx, store, want, ConceptMapIndex)

    async def of_resource(self, ctx: Context, store: Store, definition: ValueSet) -> ValueSetRules:
        """The value set that a resource defines, which need not be stored. Raises a Refusal."""
        async with store.connection(ctx.tenant) as connection:
            bound = BoundStore(store, connection)
            gathered = await self._reader.gather(ctx, bound, references(definition))
        building = Building(gathered.read, self._grammars)
        return await asyncio.to_thread(building.of_resource, definition)

    async def find(self, ctx: Context, store: Store, want: Wanted) -> bytes | None:
        """The JSON of the resource that is meant, None if there is none."""
        return await self._reader.find(ctx, store, want)

    async def _get(self, ctx: Context, store: Store, want: Wanted, type_: type[_Wished]) -> _Wished:
        key = (ctx.tenant, want)
        entry = self._entries.get(key)
        if entry is None or not await self._still_holds(ctx, store, entry):
            # Whoever waits for a lock has a connection, so whoever holds it need not wait for one.
            async with store.connection(ctx.tenant) as connection, self._locks.held(key):
                entry = await self._made_of_now(ctx, BoundStore(store, connection), want)
        assert isinstance(entry.made, type_)
        return entry.made

    async def _still_holds(self, ctx: Context, store: Store, entry: _Entry) -> bool:
        return await self._reader.locate(ctx, store, entry.located.keys()) == entry.located

    async def _made_of_now(self, ctx: Context, store: BoundStore, want: Wanted) -> _Entry:
        """What is made of the versions held now; another may have made it meanwhile."""
        key = (ctx.tenant, want)
        entry = self._entries.get(key)
        if entry is not None and await self._still_holds(ctx, store, entry):
            return entry
        gathered = await self._reader.gather(ctx, store, [want])
        self._forget_outdated(ctx.tenant, gathered.located)
        made = await asyncio.to_thread(self._make, want, gathered)
        entry = _Entry(made, gathered.located)
        self._entries.put(key, entry, _weight(made))
        return entry

    def _forget_outdated(self, tenant: str, located: Located) -> None:
        """Let go of what was made from versions that are no longer held."""
        for key, entry in self._entries.items():
            if key[0] == tenant and any(
                located.get(name, held) != held for name, held in entry.located.items()
            ):
                self._entries.drop(key)

    def _make(self, want: Wanted, gathered: Gathered) -> _Ready:
        building = Building(gathered.read, self._grammars)
        made: _Ready | Refusal
        if want.type == "ValueSet":
            made = building.value_set(want)
        elif want.type == "ConceptMap":
            made = building.concept_map(want)
        else:
            made = building.code_system(want)
        if isinstance(made, Refusal):
            raise refusals.again(made)
        return made


def _weight(made: _Ready) -> int:
    """What is kept beside the code systems themselves, which the reader keeps."""
    return 1 if isinstance(made, CodeSystemIndex) else made.weight
