"""Makes value sets and concept maps ready for questions, from what they refer to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from fhir_server.outcome import Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.concept_map import ConceptMapIndex, handed_on
from fhir_server.terminology.members import Grammar, Selection
from fhir_server.terminology.model import (
    Compose,
    ConceptMap,
    ConceptSet,
    Contains,
    ListedConcept,
    StoredExpansion,
    ValueSet,
)
from fhir_server.terminology.sources import split_canonical
from fhir_server.terminology.value_set import Clause, ValueSetRules

_SUPPLEMENT = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"
_ALL_VERSIONS = "*"
# How far value sets may import each other, or concept maps hand on.
_DEEPEST = 50


class Wanted(NamedTuple):
    """A reference to a definition; an empty version is any."""

    type: str
    url: str
    version: str = ""


Read: TypeAlias = CodeSystemIndex | ValueSet | ConceptMap


def wanted(type_: str, canonical: str) -> Wanted:
    """What a canonical of a type refers to."""
    return Wanted(type_, *split_canonical(canonical))


def references(definition: Read | Refusal) -> Iterator[Wanted]:
    """What a definition refers to and cannot be understood without."""
    if isinstance(definition, ConceptMap):
        yield from (wanted("ConceptMap", url) for url in handed_on(definition))
    elif isinstance(definition, ValueSet) and definition.compose:
        for part in (*definition.compose.include, *definition.compose.exclude):
            if part.system:
                yield _system(part)
            yield from (wanted("ValueSet", canonical) for canonical in part.value_set)
        yield from _supplements(definition)


def _supplements(value_set: ValueSet) -> list[Wanted]:
    urls = [each.value_canonical for each in value_set.extension if each.url == _SUPPLEMENT]
    return [wanted("CodeSystem", url) for url in urls]


def _system(part: ConceptSet) -> Wanted:
    version = "" if part.version == _ALL_VERSIONS else part.version
    return Wanted("CodeSystem", part.system, version)


class Building:
    """Makes value sets and concept maps, each once.

    read: every definition that is referred to, or why there is none.
    grammars: by system, whether a text is a code of it.
    """

    def __init__(
        self, read: Mapping[Wanted, Read | Refusal], grammars: Mapping[str, Grammar]
    ) -> None:
        self._read = read
        self._grammars = grammars
        self._value_sets: dict[Wanted, ValueSetRules] = {}
        self._concept_maps: dict[Wanted, ConceptMapIndex] = {}
        self._open: list[Wanted] = []

    def code_system(self, want: Wanted) -> CodeSystemIndex | Refusal:
        """A code system with codes of its own, or why there is none."""
        index = self._read[want]
        assert isinstance(index, CodeSystemIndex | Refusal)
        if isinstance(index, Refusal) or index.content != "supplement":
            return index
        why = f"it only adds to '{index.supplements}'"
        return refusals.not_understood("CodeSystem", index.url, why)

    def value_set(self, want: Wanted) -> ValueSetRules | Refusal:
        """A value set, or why there is none. Raises a Refusal for one that is made of itself."""
        definition = self._read[want]
        if isinstance(definition, Refusal):
            return definition
        if want in self._value_sets:
            return self._value_sets[want]
        assert isinstance(definition, ValueSet)
        self._enter(want)
        made = self._value_sets[want] = self.of_resource(definition)
        self._open.pop()
        return made

    def concept_map(self, want: Wanted) -> ConceptMapIndex | Refusal:
        """A concept map, or why there is none. Raises a Refusal for one that goes in a circle."""
        definition = self._read[want]
        if isinstance(definition, Refusal):
            return definition
        if want in self._concept_maps:
            return self._concept_maps[want]
        assert isinstance(definition, ConceptMap)
        self._enter(want)
        others = {url: self.concept_map(wanted("ConceptMap", url)) for url in handed_on(definition)}
        made = self._concept_maps[want] = ConceptMapIndex(definition, others)
        self._open.pop()
        return made

    def _enter(self, want: Wanted) -> None:
        if want in self._open:
            urls = [each.url for each in self._open[self._open.index(want) :]]
            raise refusals.circular(want.type, [*urls, want.url])
        if len(self._open) >= _DEEPEST:
            why = f"more than {_DEEPEST} of them are needed one after the other"
            raise refusals.not_understood(want.type, self._open[0].url, why)
        self._open.append(want)

    def of_resource(self, definition: ValueSet) -> ValueSetRules:
        """The value set that a resource defines. Raises a Refusal."""
        url, version = definition.url, definition.version
        if definition.compose is None:
            includes = _listed(url, definition.expansion)
            return ValueSetRules(url, version, includes)
        compose = definition.compose
        _check(url, compose)
        added = self._added(definition)
        return ValueSetRules(
            url,
            version,
            [self._clause(part, added) for part in compose.include],
            [self._clause(part, added) for part in compose.exclude],
            active_only=compose.inactive is False,
        )

    def _clause(self, part: ConceptSet, added: Mapping[str, list[CodeSystemIndex]]) -> Clause:
        imports = [self.value_set(wanted("ValueSet", canonical)) for canonical in part.value_set]
        if not part.system:
            return Clause(None, imports)
        index = self.code_system(_system(part))
        if isinstance(index, CodeSystemIndex) and part.system in added:
            index = index.supplemented(added[part.system])
        return Clause(Selection(part, index, self._grammars.get(part.system)), imports)

    def _added(self, definition: ValueSet) -> dict[str, list[CodeSystemIndex]]:
        """The supplements that a value set names, by the system they add to."""
        found: dict[str, list[CodeSystemIndex]] = {}
        for want in _supplements(definition):
            supplement = self._read[want]
            if isinstance(supplement, Refusal):
                raise refusals.again(supplement)
            assert isinstance(supplement, CodeSystemIndex)
            system, _ = split_canonical(supplement.supplements)
            found.setdefault(system, []).append(supplement)
        return found


def _check(url: str, compose: Compose) -> None:
    """Refuse what a compose says and the engine does not do."""
    parts = (*compose.include, *compose.exclude)
    for part in parts:
        if part.system.startswith("#"):
            why = f"it takes codes from '{part.system}', which is contained in it"
            raise refusals.not_understood("ValueSet", url, why)
        if part.concept and part.filter:
            why = "an include or exclude has both concepts and filters"
            raise refusals.not_understood("ValueSet", url, why)
        if not part.system and (part.concept or part.filter or not part.value_set):
            why = "an include or exclude names no system"
            raise refusals.not_understood("ValueSet", url, why)
    if compose.locked_date and not all(_is_fixed(part) for part in parts):
        why = f"it is locked at {compose.locked_date} without naming versions"
        raise refusals.not_understood("ValueSet", url, why)


def _is_fixed(part: ConceptSet) -> bool:
    of_system = not part.system or bool(part.version) or bool(part.concept)
    return of_system and all("|" in canonical for canonical in part.value_set)


def _listed(url: str, expansion: StoredExpansion | None) -> list[Clause]:
    """What the expansion lists that a value set without compose carries."""
    if expansion is None:
        why = "it has neither compose nor expansion"
        raise refusals.not_understood("ValueSet", url, why)
    listed: dict[tuple[str, str], list[ListedConcept]] = {}
    number = 0
    for each in _flat(expansion.contains):
        number += 1
        concept = ListedConcept(each.code, each.display, each.designation)
        listed.setdefault((each.system, each.version), []).append(concept)
    if expansion.total is not None and expansion.total > number:
        why = f"its expansion holds {number} of {expansion.total} codes"
        raise refusals.not_understood("ValueSet", url, why)
    none = refusals.not_enumerable(url, "it is an expansion")
    return [
        Clause(Selection(ConceptSet(system, version, tuple(concepts)), none), [])
        for (system, version), concepts in listed.items()
    ]


def _flat(contains: Sequence[Contains]) -> Iterator[Contains]:
    """The codes of an expansion, without entries that only group others."""
    for each in contains:
        if each.code:
            yield each
        yield from _flat(each.contains)
