"""Validation against the profiles that a tenant stores, with its terminology.

What is compiled belongs to one state of a tenant's StructureDefinitions. Each question asks by one
cheap statement which state that is now, so every worker sees a change at once, untold.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeGuard

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.spec import Definitions
from fhir_server.storage.definition_state import States
from fhir_server.storage.store import Store
from fhir_server.terminology import Sources, Terminology
from fhir_server.terminology.memory import Memory
from fhir_server.terminology.sources import Held, Name, choose, split_canonical
from fhir_server.terminology.value_set import ValueSetRules
from fhir_server.validation.profiles.answering import Ready, answered
from fhir_server.validation.profiles.base import type_of
from fhir_server.validation.profiles.findings import Question, Report
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.run import Resolve, Settings
from fhir_server.validation.profiles.validator import Validator
from fhir_server.validation.structure import StructureCheck
from fhir_server.validation.turns import in_turns, is_large

TYPE = "StructureDefinition"

# States of all tenants kept ready: those before and within a transaction may take turns.
_MOST_STATES = 16
# Canonicals of one state, known or not; resources may name any number of unknown ones.
_MOST_CANONICALS = 20_000
# Value sets asked for ahead, for one set of profiles.
_MOST_AHEAD = 50
# Where a StructureDefinition, or any resource, refers to other StructureDefinitions.
_REFERRING = ("profile", "targetProfile", "baseDefinition")


class Definers(Sources, Protocol):
    """Sources that can tell cheaply whether any definition has changed."""

    async def states(self, ctx: Context, store: Store) -> States:
        """By type, what differs whenever a resource of the type was written or deleted."""


class _Unread(Exception):
    """A canonical that has to be read before validation can go on."""

    def __init__(self, canonical: str) -> None:
        self.canonical = canonical


class _State:
    """The StructureDefinitions of one state: those read so far, and what was compiled of them."""

    def __init__(
        self,
        definitions: Definitions,
        structure: StructureCheck,
        provided: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._definitions = definitions
        self.provided = provided
        self.read: dict[str, Mapping[str, Any] | None] = {}
        # The value sets that resources of some profiles were asked about.
        self.asked: dict[tuple[str, ...], frozenset[str]] = {}
        self.validator = Validator(Profiles(self._find, definitions), structure)

    def is_of_r4(self, canonical: str) -> bool:
        """Whether it is one of R4's own types, which no stored definition replaces."""
        return type_of(self._definitions, canonical) is not None

    def remember(self, profiles: tuple[str, ...], questions: Iterable[Question]) -> None:
        """Keep in mind which value sets the next resource of some profiles will need."""
        known = self.asked.get(profiles, frozenset())
        asked = known.union(question.value_set for question in questions)
        if profiles and asked != known and len(asked) <= _MOST_AHEAD:
            self.asked[profiles] = asked

    def _find(self, canonical: str) -> Mapping[str, Any] | None:
        if self.is_of_r4(canonical):
            return None
        if canonical not in self.read:
            raise _Unread(canonical)
        return self.read[canonical]


class Session:
    """Validation by one state of a tenant's profiles, for one request.

    Made by `Validation.session`.
    """

    def __init__(
        self,
        ctx: Context,
        store: Store,
        sources: Definers,
        terminology: Terminology,
        state: _State,
        states: States,
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._sources = sources
        self._terminology = terminology
        self._state = state
        self._states = states

    async def check(
        self,
        resource: Any,
        profiles: Iterable[str] = (),
        *,
        settings: Settings | None = None,
        resolver: Resolve | None = None,
    ) -> Report:
        """Everything that is wrong with a decoded resource; final, without questions.

        profiles: canonicals it must conform to, beside those it claims, if the settings say so.
        """
        profiles = tuple(profiles)
        large = is_large(resource)
        named = await in_turns(resource, partial(_named, resource), large=large)
        await self._read({*profiles, *named})
        # Asked for ahead, the resource need be looked at once only.
        asked = self._state.asked.get(profiles, frozenset())
        answers = Ready(
            await self._terminology.ready_value_sets(self._ctx, self._store, asked, self._states)
        )
        while True:
            try:
                report = await self._state.validator.conclude(
                    resource,
                    profiles,
                    ask=self._answers,
                    settings=settings,
                    answers=answers,
                    resolver=resolver,
                    large=large,
                )
                self._state.remember(profiles, answers)
                return report
            except _Unread as unread:
                await self._read({unread.canonical})

    async def _answers(self, questions: frozenset[Question]) -> dict[Question, bool | None]:
        asked = {question.value_set for question in questions}
        ready = await self._terminology.ready_value_sets(
            self._ctx, self._store, asked, self._states
        )

        async def find(canonical: str) -> ValueSetRules:
            if canonical in ready:
                return ready[canonical]
            return await self._terminology.value_set(self._ctx, self._store, canonical)

        return await answered(questions, find)

    async def known(self, canonicals: Collection[str]) -> bool:
        """Whether a StructureDefinition of any of these canonicals is stored."""
        await self._read(canonicals)
        return any(self._state.read.get(each) for each in canonicals)

    async def _read(self, canonicals: Collection[str]) -> None:
        """Read StructureDefinitions, those they refer to, and so on: a round for each step."""
        read = self._state.read
        ahead = self._unread(canonicals)
        while ahead:
            found = await self._stored(ahead)
            known = self._state.provided
            read |= {each: found.get(each) or known.get(each) for each in ahead}
            ahead = self._unread(name for each in found.values() for name in _named(each))

    def _unread(self, canonicals: Iterable[str]) -> set[str]:
        read, state = self._state.read, self._state
        return {each for each in canonicals if each not in read and not state.is_of_r4(each)}

    async def _stored(self, canonicals: Collection[str]) -> dict[str, Mapping[str, Any]]:
        wanted = {each: split_canonical(each.partition("#")[0]) for each in canonicals}
        names = {Name(TYPE, url) for url, _ in wanted.values()}
        located = await self._sources.locate(self._ctx, self._store, names)
        every = {held for found in located.values() for held in found}
        if not every:
            return {}
        headings = await self._sources.headings(self._ctx, self._store, every)
        chosen: dict[str, Held] = {}
        for canonical, (url, version) in wanted.items():
            found = [
                (held, headings[held]) for held in located[Name(TYPE, url)] if held in headings
            ]
            for held in choose(found, version)[:1]:
                chosen[canonical] = held
        contents = await self._sources.contents(self._ctx, self._store, set(chosen.values()))
        decoded = {held: decode(content) for held, content in contents.items()}
        return {each: decoded[held] for each, held in chosen.items() if held in decoded}


class Validation:
    """Validation in one process; made once by the composition root.

    sources: where StructureDefinitions are found; R4's own types need not be.
    terminology: says what is in the value sets of bindings.
    provided: StructureDefinitions that are known, by canonical, where the tenant stores no other.
    """

    def __init__(
        self,
        sources: Definers,
        terminology: Terminology,
        definitions: Definitions,
        structure: StructureCheck,
        provided: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._sources = sources
        self._terminology = terminology
        self._definitions = definitions
        self._structure = structure
        self._provided = provided or {}
        self._states: Memory[Hashable, _State] = Memory(_MOST_STATES)

    async def session(self, ctx: Context, store: Store) -> Session:
        """Validation by the profiles stored now. With a `BoundStore`, by those of its transaction.

        One session serves all resources of a request.
        """
        states = await self._sources.states(ctx, store)
        key = (ctx.tenant, states.get(TYPE))
        state = self._states.get(key)
        if state is None or len(state.read) > _MOST_CANONICALS:
            state = _State(self._definitions, self._structure, self._provided)
            self._states.put(key, state)
        return Session(ctx, store, self._sources, self._terminology, state, states)

    async def check(
        self,
        ctx: Context,
        store: Store,
        resource: Any,
        profiles: Iterable[str] = (),
        *,
        settings: Settings | None = None,
        resolver: Resolve | None = None,
    ) -> Report:
        """Like `Session.check`, for one resource."""
        session = await self.session(ctx, store)
        return await session.check(resource, profiles, settings=settings, resolver=resolver)


def _named(value: Any) -> set[str]:
    """The canonicals of StructureDefinitions that a resource names: claims, extensions, bases."""
    found: set[str] = set()
    ahead = [value]
    while ahead:
        each = ahead.pop()
        if each.__class__ is list:
            ahead += each
        elif each.__class__ is dict:
            ahead += each.values()
            found.update(_named_here(each))
    return found


def _named_here(element: dict[str, Any]) -> Iterator[str]:
    for name in _REFERRING:
        named = element.get(name)
        yield from filter(_is_url, named if named.__class__ is list else [named])
    for name in ("extension", "modifierExtension"):
        extensions = element.get(name)
        if extensions.__class__ is list:
            urls = (each.get("url") for each in extensions if each.__class__ is dict)
            yield from filter(_is_url, urls)


def _is_url(value: Any) -> TypeGuard[str]:
    return value.__class__ is str and ":" in value
