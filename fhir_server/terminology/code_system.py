"""A code system made ready for questions: concepts by code, in the order they are written."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from fhir_server.outcome import Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.hierarchy import CircularHierarchy, Hierarchy
from fhir_server.terminology.model import CodeSystem, Concept, Designation, Property
from fhir_server.terminology.words import WordIndex

# What the nesting of concepts may mean when it says which is a kind of which.
_IS_A = frozenset({"", "is-a", "classified-with"})
_Additions = dict[str, tuple[list[Designation], list[Property]]]
_CONCEPT_PROPERTIES = "http://hl7.org/fhir/concept-properties#"


class CodeSystemIndex:
    """The concepts of one version of a code system (R4 codesystem.html).

    parts: one resource, or the fragments that make it up together.

    complete: whether every code there is has a concept here: then an absent code is a wrong one.
    content: how much there is, as the resource says it.
    concepts: what is above stands before what is below. positions: by code, in the same order.
    """

    def __init__(self, parts: Sequence[CodeSystem], supplements: Sequence[CodeSystem] = ()) -> None:
        first = parts[0]
        self.url = first.url
        self.version = first.version
        self.name = first.name
        self.title = first.title
        self.language = first.language
        self.content = first.content
        self.supplements = first.supplements
        self.declared = {each.code: each for part in parts for each in part.property}
        self.filters = frozenset(each.code for part in parts for each in part.filter)
        self._case_sensitive = first.case_sensitive is True
        self._meaning = first.hierarchy_meaning
        self.concepts: list[Concept] = []
        self.positions: dict[str, int] = {}
        self._nested: list[tuple[int, int]] = []
        for part in parts:
            self._add(part.concept)
        self.complete = first.content == "complete" or (
            first.content == "fragment"
            and first.count is not None
            and len(self.positions) >= first.count
        )
        self._added: _Additions = {}

    def _add(self, concepts: Sequence[Concept]) -> None:
        ahead: list[tuple[Concept, int]] = [(concept, -1) for concept in reversed(concepts)]
        while ahead:
            concept, above = ahead.pop()
            position = self.positions.setdefault(concept.code, len(self.concepts))
            if position == len(self.concepts):
                self.concepts.append(concept)
            if above >= 0:
                self._nested.append((above, position))
            ahead += [(below, position) for below in reversed(concept.concept)]

    def supplemented(self, supplements: Sequence["CodeSystemIndex"]) -> "CodeSystemIndex":
        """The same system with what supplements add (R4 codesystem.html#supplements)."""
        whole = CodeSystemIndex.__new__(CodeSystemIndex)
        whole.__dict__ |= {
            name: value for name, value in self.__dict__.items() if name not in _DERIVED
        }
        for supplement in supplements:
            whole.declared = supplement.declared | whole.declared
        whole._added = _additions(supplements)
        return whole

    def __len__(self) -> int:
        return len(self.concepts)

    def find(self, code: str) -> int | None:
        """The position of a code; None if there is none.

        A code in another case is found unless the system says that case matters
        (R4 codesystem-definitions.html#CodeSystem.caseSensitive).
        """
        position = self.positions.get(code)
        if position is None and not self._case_sensitive:
            return self._by_plain.get(code.casefold())
        return position

    def position(self, code: str) -> int:
        """The position of a code. Raises a Refusal that says why there is none."""
        position = self.find(code)
        if position is not None:
            return position
        if self.complete:
            raise refusals.unknown_code(self.url, code)
        raise self.refusal(code)

    def refusal(self, code: str = "") -> Refusal:
        """Why a question that needs all codes, or an absent one, has no answer here."""
        if not self.concepts:
            return refusals.not_enumerable(self.url, f"its content is '{self.content}'")
        return refusals.incomplete(self.url, self.content, code)

    @cached_property
    def _by_plain(self) -> dict[str, int]:
        """Positions by code without case, but for codes that differ by case alone."""
        found: dict[str, int] = {}
        twice: set[str] = set()
        for code, position in self.positions.items():
            plain = code.casefold()
            if found.setdefault(plain, position) != position:
                twice.add(plain)
        return {plain: position for plain, position in found.items() if plain not in twice}

    def codes(self, positions: Iterable[int]) -> frozenset[str]:
        """The codes at positions."""
        return frozenset(self.concepts[position].code for position in positions)

    # what a concept says

    def designations(self, position: int) -> tuple[Designation, ...]:
        """The further texts of a concept, those of supplements last."""
        concept = self.concepts[position]
        added = self._added.get(concept.code)
        return (*concept.designation, *added[0]) if added else concept.designation

    def properties(self, position: int) -> tuple[Property, ...]:
        """The properties of a concept, those of supplements last."""
        concept = self.concepts[position]
        added = self._added.get(concept.code)
        return (*concept.property, *added[1]) if added else concept.property

    def is_inactive(self, position: int) -> bool:
        """Whether a concept is no longer used (R4 codesystem-concept-properties.html)."""
        return any(
            each.value_boolean is True
            if each.code in self._meaning_inactive
            else each.code == "status" and each.text in ("retired", "inactive")
            for each in self.properties(position)
        )

    def is_abstract(self, position: int) -> bool:
        """Whether a concept only groups others (R4 codesystem-concept-properties.html)."""
        return any(
            each.code in self._meaning_abstract and each.value_boolean is True
            for each in self.properties(position)
        )

    def text(self, position: int) -> str:
        """What a text filter looks at in a concept."""
        concept = self.concepts[position]
        designations = (each.value for each in self.designations(position))
        return " ".join((concept.code, concept.display, *designations))

    @cached_property
    def words(self) -> WordIndex:
        """The words of all concepts, by position."""
        return WordIndex(map(self.text, range(len(self.concepts))))

    # which concept is a kind of which

    @property
    def hierarchy(self) -> Hierarchy:
        """The is-a relation. Raises a Refusal if the relations of the system mean another."""
        if self._meaning in _IS_A:
            return self.relations
        if not self._subsumptions and self.relations:
            raise refusals.not_a_hierarchy(self.url, self._meaning)
        return self._subsumptions

    @cached_property
    def relations(self) -> Hierarchy:
        """What is directly above and below what, whatever `hierarchyMeaning` says of it."""
        above, below = self._meaning_what("parent", "subsumedBy"), self._meaning_what("child")
        return self._order(self._nested, above, below)

    @cached_property
    def _subsumptions(self) -> Hierarchy:
        return self._order([], frozenset({"subsumedBy"}), frozenset())

    def _order(
        self, nested: list[tuple[int, int]], above: frozenset[str], below: frozenset[str]
    ) -> Hierarchy:
        edges = list(nested)
        for position in range(len(self.concepts)):
            for each in self.properties(position):
                if each.code not in above and each.code not in below:
                    continue
                other = self.positions.get(each.text)
                if other is not None:
                    edges.append((other, position) if each.code in above else (position, other))
        try:
            return Hierarchy(edges)
        except CircularHierarchy as error:
            code = self.concepts[error.args[0]].code
            raise refusals.circular_hierarchy(self.url, code) from None

    # declared property codes by what they mean

    def _meaning_what(self, *names: str) -> frozenset[str]:
        uris = {_CONCEPT_PROPERTIES + name for name in names}
        declared = {code for code, each in self.declared.items() if each.uri in uris}
        return frozenset(declared.union(names))

    @cached_property
    def _meaning_inactive(self) -> frozenset[str]:
        return self._meaning_what("inactive")

    @cached_property
    def _meaning_abstract(self) -> frozenset[str]:
        return self._meaning_what("notSelectable", "abstract")


# What is computed when it is first needed, and would differ with supplements.
_DERIVED = frozenset(
    name for name, value in vars(CodeSystemIndex).items() if isinstance(value, cached_property)
)


def _additions(supplements: Sequence[CodeSystemIndex]) -> _Additions:
    """What supplements say of each code."""
    found: _Additions = {}
    for supplement in supplements:
        for concept in supplement.concepts:
            designations, properties = found.setdefault(concept.code, ([], []))
            designations += concept.designation
            properties += concept.property
    return found
