"""Questions to code systems, value sets and concept maps (R4 terminology-service.html).

Every question raises a Refusal that names the code system or value set when there is no answer:
`not-found` for what is not known here, `not-supported`, `incomplete` or `too-costly` for what is.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode
from fhir_server.outcome import Invalid, Issue, NotFound
from fhir_server.storage.definition_state import NONE, States
from fhir_server.storage.store import Store
from fhir_server.terminology import refusals
from fhir_server.terminology.building import Wanted, wanted
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.concept_map import ConceptMapIndex, Translation
from fhir_server.terminology.expansion import Expansion
from fhir_server.terminology.grammars import GRAMMARS
from fhir_server.terminology.library import Library
from fhir_server.terminology.members import Grammar, Member
from fhir_server.terminology.model import Designation, Property, ValueSet
from fhir_server.terminology.sources import Sources
from fhir_server.terminology.value_set import ValueSetRules

# Codes that are looked through at once; more are looked through beside other requests.
_SMALL = 20_000
# Codes that a search may be asked for at once.
MOST_SEARCHED = 50_000


@dataclass(frozen=True, slots=True)
class Concept:
    """What a code system says of a code (R4 codesystem-operation-lookup.html).

    name: of the code system. parents, children: the codes directly above and below.
    """

    name: str
    version: str
    code: str
    display: str
    definition: str
    designations: tuple[Designation, ...]
    properties: tuple[Property, ...]
    parents: tuple[str, ...]
    children: tuple[str, ...]
    abstract: bool
    inactive: bool


class Terminology:
    """The terminology of one process; made once by the composition root.

    sources: where definitions are found.
    grammars: for systems without a list of codes, whether a text is a code.
    """

    def __init__(self, sources: Sources, grammars: Mapping[str, Grammar] = GRAMMARS) -> None:
        self._library = Library(sources, grammars)
        self._grammars = grammars

    # definitions

    async def find(
        self, ctx: Context, store: Store, type_: str, canonical: str
    ) -> dict[str, Any] | None:
        """The CodeSystem, ValueSet or ConceptMap that a canonical means, None if there is none.

        What is shipped comes without narrative, contacts and extensions.
        """
        content = await self._library.find(ctx, store, wanted(type_, canonical))
        if content is None:
            return None
        resource: dict[str, Any] = decode(content)
        return {"resourceType": type_} | resource

    async def code_system(
        self, ctx: Context, store: Store, system: str, version: str = ""
    ) -> CodeSystemIndex:
        """A code system by its URL, which is not cut at a bar: those of some v2 tables have one."""
        return await self._library.code_system(ctx, store, Wanted("CodeSystem", system, version))

    async def value_set(self, ctx: Context, store: Store, canonical: str) -> ValueSetRules:
        """A value set by its canonical."""
        return await self._library.value_set(ctx, store, wanted("ValueSet", canonical))

    async def ready_value_sets(
        self, ctx: Context, store: Store, canonicals: Collection[str], states: States = NONE
    ) -> Mapping[str, ValueSetRules]:
        """Those of several value sets that need not be read again.

        states: of the definitions, as they were before, if they are known; where they are as the
            last time no query is needed, else one.
        """
        wants = {canonical: wanted("ValueSet", canonical) for canonical in canonicals}
        ready = await self._library.ready(ctx, store, set(wants.values()), states)
        return {each: ready[want] for each, want in wants.items() if want in ready}

    async def value_set_of(
        self, ctx: Context, store: Store, resource: Mapping[str, Any]
    ) -> ValueSetRules:
        """The value set that a ValueSet resource defines, stored or not."""
        try:
            definition = msgspec.json.decode(encode(resource), type=ValueSet)
        except msgspec.ValidationError as error:
            raise Invalid(Issue("structure", f"The ValueSet cannot be read: {error}")) from None
        return await self._library.of_resource(ctx, store, definition)

    async def concept_map(self, ctx: Context, store: Store, canonical: str) -> ConceptMapIndex:
        """A concept map by its canonical."""
        return await self._library.concept_map(ctx, store, wanted("ConceptMap", canonical))

    # value sets

    async def expand(
        self, ctx: Context, store: Store, canonical: str, *, text: str = ""
    ) -> Expansion:
        """The codes of a value set, to be paged.

        text: only those of which a display, designation or code has each of these words.
        """
        rules = await self.value_set(ctx, store, canonical)
        if rules.is_expanded:
            expansion = rules.expansion
        else:
            expansion = await asyncio.to_thread(lambda: rules.expansion)
        if not text:
            return expansion
        if expansion.total < _SMALL:
            return expansion.where(text)
        return await asyncio.to_thread(expansion.where, text)

    async def member(
        self, ctx: Context, store: Store, canonical: str, system: str, code: str
    ) -> Member | None:
        """The code as it is in a value set, None if it is not in it."""
        return (await self.value_set(ctx, store, canonical)).member(system, code)

    async def codes_of(
        self, ctx: Context, store: Store, canonical: str, *, most: int = MOST_SEARCHED
    ) -> Mapping[str, frozenset[str]]:
        """The codes of a value set by system, for `:in` and `:not-in` (R4 search.html#token).

        Raises a Refusal also for a value set of which codes may be missing here, and for one with
        more than `most` codes.
        """
        expansion = await self.expand(ctx, store, canonical)
        if expansion.partial:
            raise refusals.incomplete(expansion.partial[0], "fragment")
        if expansion.total > most:
            raise refusals.too_costly(canonical, expansion.total, most)
        return expansion.codes

    # code systems

    async def descendants(
        self, ctx: Context, store: Store, system: str, code: str
    ) -> frozenset[str]:
        """The code and every code that is a kind of it, for `:below` (R4 search.html#token)."""
        index = await self.code_system(ctx, store, system)
        position = index.position(code)
        return index.codes(index.hierarchy.descendants(position) | {position})

    async def ancestors(self, ctx: Context, store: Store, system: str, code: str) -> frozenset[str]:
        """The code and every code that it is a kind of, for `:above`."""
        index = await self.code_system(ctx, store, system)
        position = index.position(code)
        return index.codes(index.hierarchy.ancestors(position) | {position})

    async def subsumes(
        self, ctx: Context, store: Store, system: str, a: str, b: str, *, version: str = ""
    ) -> str:
        """`equivalent`, `subsumes`, `subsumed-by` or `not-subsumed`.

        R4 codesystem-operation-subsumes.html.
        """
        index = await self.code_system(ctx, store, system, version)
        first, second = index.position(a), index.position(b)
        if first == second:
            return "equivalent"
        if index.hierarchy.subsumes(first, second):
            return "subsumes"
        return "subsumed-by" if index.hierarchy.subsumes(second, first) else "not-subsumed"

    async def lookup(
        self, ctx: Context, store: Store, system: str, code: str, *, version: str = ""
    ) -> Concept:
        """What a code system says of a code (R4 codesystem-operation-lookup.html)."""
        index = await self.code_system(ctx, store, system, version)
        position = index.position(code)
        concept = index.concepts[position]
        return Concept(
            name=index.title or index.name,
            version=index.version,
            code=concept.code,
            display=concept.display,
            definition=concept.definition,
            designations=index.designations(position),
            properties=index.properties(position),
            parents=tuple(index.concepts[at].code for at in index.relations.parents(position)),
            children=tuple(index.concepts[at].code for at in index.relations.children(position)),
            abstract=index.is_abstract(position),
            inactive=index.is_inactive(position),
        )

    async def is_code(
        self, ctx: Context, store: Store, system: str, code: str, *, version: str = ""
    ) -> bool:
        """Whether a code system has a code."""
        grammar = self._grammars.get(system)
        if grammar is not None:
            return grammar(code)
        index = await self.code_system(ctx, store, system, version)
        if index.find(code) is not None:
            return True
        if not index.complete:
            raise index.refusal(code)
        return False

    def of(self, ctx: Context, store: Store) -> "TenantTerminology":
        """What search asks, within one tenant and, if the store is bound, one transaction."""
        return TenantTerminology(self, ctx, store)

    # concept maps

    async def translate(
        self,
        ctx: Context,
        store: Store,
        canonical: str,
        system: str,
        code: str,
        *,
        target: str = "",
        reverse: bool = False,
    ) -> list[Translation]:
        """What a code maps to (R4 conceptmap-operation-translate.html).

        target: the only system to map to. reverse: ask for the codes that map to this one.
        """
        map_ = await self.concept_map(ctx, store, canonical)
        ask = map_.reverse if reverse else map_.translate
        return ask(system, code, target)


@dataclass(frozen=True, slots=True)
class TenantTerminology:
    """What search asks of terminology, for one tenant.

    What is not known makes the search wrong (400); it is not that the search is not found.
    """

    terminology: Terminology
    ctx: Context
    store: Store

    async def codes_of(self, value_set: str) -> Mapping[str, frozenset[str]]:
        """The codes of a value set by system, for `:in` and `:not-in`."""
        try:
            return await self.terminology.codes_of(self.ctx, self.store, value_set)
        except NotFound as unknown:
            raise Invalid(unknown.issues) from None

    async def related(self, system: str, code: str, relation: str) -> frozenset[str]:
        """A code with all those `above` or `below` it."""
        ask = self.terminology.ancestors if relation == "above" else self.terminology.descendants
        try:
            return await ask(self.ctx, self.store, system, code)
        except NotFound as unknown:
            raise Invalid(unknown.issues) from None
