"""Profiles, compiled once each from their StructureDefinitions."""

from collections.abc import Callable, Mapping
from threading import RLock

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.model import node_type
from fhir_server.spec import Definitions
from fhir_server.terminology.grammars import GRAMMARS
from fhir_server.terminology.members import Grammar
from fhir_server.validation.profiles.base import CORE, type_of
from fhir_server.validation.profiles.content import Compiler
from fhir_server.validation.profiles.library import FindDefinition, Library, plain
from fhir_server.validation.profiles.rules import Rule
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.tree import Json, ProfileFault


class Profile:
    """One compiled profile.

    url: its canonical without a version. type: the type of R4 it is about.
    definition: its StructureDefinition.
    """

    __slots__ = ("definition", "rules", "type", "url")

    def __init__(self, url: str, type_: str, definition: Json, rules: tuple[Rule, ...]) -> None:
        self.url = url
        self.type = type_
        self.definition = definition
        self.rules = rules

    def check(self, node: Node, run: Run) -> None:
        """Check an element or a resource; what it finds is reported to the run."""
        if self.type not in node.kind.bases:
            what = f"The profile {self.url} is about {self.type}, not about {node.kind.name}."
            run.report(node, "structure", what, (self.url, "type"))
            return
        try:
            for rule in self.rules:
                rule(node, run)
        except ProfileFault as fault:
            run.unusable(node, fault)


class Profiles:
    """The profiles of one generation of StructureDefinitions.

    find: where StructureDefinitions are, by canonical; R4's own types are known without it.
    """

    def __init__(self, find: FindDefinition, definitions: Definitions) -> None:
        self.definitions = definitions
        self.library = Library(find, definitions)
        self._profiles: dict[str, Profile | ProfileFault] = {}
        self.compiling = RLock()
        self._base_constraints = _base_constraints(definitions)

    def profile(self, canonical: str) -> Profile | None:
        """The profile of a canonical, None if it is not known. Raises ProfileFault."""
        known = self._profiles.get(canonical)
        if known is None:
            structure = self.library.structure(canonical)
            if structure is None:
                return None
            with self.compiling:
                known = self._profiles.get(canonical) or self._compiled(canonical)
                self._profiles[canonical] = known
        if isinstance(known, ProfileFault):
            raise known.with_traceback(None)
        return known

    def usable(self, canonical: str, node: Node, run: Run) -> Profile | None:
        """The profile of a canonical; when there is none to use, the run is told so."""
        try:
            profile = self.profile(canonical)
        except ProfileFault as fault:
            run.unusable(node, fault)
            return None
        if profile is None:
            what = f"The profile {canonical} is not known here, so it was not checked."
            run.report(node, "not-found", what, (canonical, "profile"), severity="warning")
        return profile

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile is about, None if it is not known."""
        base = type_of(self.definitions, canonical)
        if base is not None:
            return base
        try:
            structure = self.library.structure(canonical)
        except ProfileFault:
            return None
        return structure.type if structure else None

    def codes(self, value_set: str) -> Mapping[str, frozenset[str]] | None:
        """The codes by system of a value set that R4 itself demands somewhere."""
        url, _, version = value_set.partition("|")
        return self.definitions.codes_by_system(url) if version in ("", "4.0.1") else None

    @staticmethod
    def grammar(value_set: str) -> tuple[str, Grammar] | None:
        """The system and the grammar of its codes, for value sets that are all of a system."""
        return _GRAMMARS.get(plain(value_set))

    def at_once(self, value_set: str) -> Callable[[str], bool]:
        """Which codes a value set takes; any code, where only a terminology could tell."""
        grammar, codes = self.grammar(value_set), self.codes(value_set)
        if grammar is not None:
            return grammar[1]
        if codes is None:
            return lambda _: True
        return frozenset(code for each in codes.values() for code in each).__contains__

    def is_base_constraint(self, constraint: Json) -> bool:
        """Whether an invariant is one of R4's own, which base_rules.py checks."""
        key, source = constraint.get("key"), constraint.get("source")
        if (key, constraint.get("expression")) in self._base_constraints:
            return True
        if not isinstance(source, str) or (key, None) not in self._base_constraints:
            return False
        return type_of(self.definitions, source if ":" in source else CORE + source) is not None

    def _compiled(self, canonical: str) -> Profile | ProfileFault:
        structure = self.library.structure(canonical)
        assert structure is not None
        url, root = plain(canonical), structure.root
        try:
            kind = node_type(structure.type)
            if kind is None or root.name != structure.type:
                raise ProfileFault(url, f"R4 has no type {structure.type}.")
            compiler = Compiler(self, url, root)
            rules = compiler.rules(root, None)
            compiler.content(root).elements(kind)
            return Profile(url, structure.type, structure.definition, tuple(rules))
        except ProfileFault as fault:
            return fault
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            return ProfileFault(url, f"It is not built as R4 defines it: {error}")


# As published, and so in snapshots of profiles; spec/build/types.py says why it is another here.
_CORRECTED = frozenset({("que-7", "operator = 'exists' implies (answer is Boolean)")})


def _base_constraints(definitions: Definitions) -> frozenset[tuple[str, str | None]]:
    found: set[tuple[str, str | None]] = set(_CORRECTED)
    for type_ in definitions.types.values():
        for constraint in type_.constraints:
            found |= {(constraint.key, constraint.expression), (constraint.key, None)}
        for element in type_.elements.values():
            for constraint in element.constraints:
                found |= {(constraint.key, constraint.expression), (constraint.key, None)}
    return frozenset(found)


def _media_type(code: str) -> bool:
    """A media type, or one of the short names that R4 takes for one (R4 http.html#mime-type)."""
    essence = code.partition(";")[0].rstrip()
    return essence in ("json", "xml", "ttl", "none") or GRAMMARS["urn:ietf:bcp:13"](essence)


# Value sets that are all codes of a system without a list of codes.
_GRAMMARS: Mapping[str, tuple[str, Grammar]] = {
    "http://hl7.org/fhir/ValueSet/mimetypes": ("urn:ietf:bcp:13", _media_type),
    "http://hl7.org/fhir/ValueSet/all-languages": (
        "urn:ietf:bcp:47",
        GRAMMARS["urn:ietf:bcp:47"],
    ),
    "http://hl7.org/fhir/ValueSet/ucum-units": (
        "http://unitsofmeasure.org",
        GRAMMARS["http://unitsofmeasure.org"],
    ),
}
