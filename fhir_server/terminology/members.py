"""The codes that one include or exclude takes from one code system."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.outcome import Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.filters import fulfilling
from fhir_server.terminology.model import ConceptSet, Designation, ListedConcept
from fhir_server.terminology.words import WordIndex

Grammar = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Member:
    """A code in a value set, with what there is to show of it."""

    system: str
    version: str
    code: str
    display: str
    designations: tuple[Designation, ...]
    abstract: bool
    inactive: bool


class Selection:
    """Codes of one system, in order (R4 valueset.html#compose).

    What stands in the way of answering is kept, and raised by the question that needs it.

    chosen: the `include` or `exclude`; its imported value sets are not looked at.
    index: the code system, or why there is none.
    grammar: whether a text is a code, for a system without a list of codes.

    codes: in the order of the value set where it lists them, else of the code system.
    unlisted: codes that the value set names and the complete code system does not have.
    """

    def __init__(
        self, chosen: ConceptSet, index: CodeSystemIndex | Refusal, grammar: Grammar | None = None
    ) -> None:
        self.system = chosen.system
        self.index = index if isinstance(index, CodeSystemIndex) else None
        self.version = chosen.version or (self.index.version if self.index else "")
        self.codes: Mapping[str, object] = {}
        self.unlisted: tuple[str, ...] = ()
        self._listed: dict[str, ListedConcept] = {}
        self._grammar: Grammar | None = None
        self._refusal: Refusal | None = None
        self._partial = False
        if chosen.concept:
            self._list(chosen.concept)
        elif self.index is None and grammar and not chosen.filter:
            self._grammar = grammar
        elif isinstance(index, CodeSystemIndex):
            self._select(chosen, index)
        else:
            self._refusal = index

    def _list(self, concepts: Sequence[ListedConcept]) -> None:
        unlisted = []
        for concept in concepts:
            position = self.index.find(concept.code) if self.index else None
            if self.index and position is not None:
                self._listed[self.index.concepts[position].code] = concept
            elif self.index and self.index.complete:
                unlisted.append(concept.code)
            else:
                self._listed[concept.code] = concept
        self.codes = self._listed
        self.unlisted = tuple(unlisted)

    def _select(self, chosen: ConceptSet, index: CodeSystemIndex) -> None:
        self._partial = not index.complete
        if self._partial and not len(index):
            self._refusal = index.refusal()
        elif not chosen.filter:
            self.codes = index.positions
        else:
            try:
                found = set.intersection(*(fulfilling(index, each) for each in chosen.filter))
                self.codes = {index.concepts[position].code: None for position in sorted(found)}
            except Refusal as refusal:
                self._refusal = refusal

    @property
    def partial(self) -> bool:
        """Whether there may be codes that nothing here knows of."""
        return self._partial

    def enumerated(self) -> Mapping[str, object]:
        """`codes`, when they are all. Raises the Refusal that stands in the way."""
        if self._refusal:
            raise refusals.again(self._refusal)
        if self._grammar:
            raise refusals.not_enumerable(self.system, "it has a grammar, not a list")
        return self.codes

    def find(self, code: str) -> str | None:
        """The code as the system writes it, None if it is not among these.

        Raises the Refusal that stands in the way of knowing.
        """
        if self._grammar:
            return code if self._grammar(code) else None
        if code in self.codes:
            return code
        if self._refusal:
            raise refusals.again(self._refusal)
        position = self.index.find(code) if self.index else None
        if self.index is None or position is None:
            if self._partial and self.index:
                raise self.index.refusal(code)
            return None
        written = self.index.concepts[position].code
        return written if written in self.codes else None

    def member(self, code: str) -> Member:
        """One of the codes, with its texts: those of the value set before the system's."""
        position = self.index.find(code) if self.index else None
        listed = self._listed.get(code)
        display = listed.display if listed else ""
        designations = listed.designation if listed else ()
        abstract = inactive = False
        if self.index and position is not None:
            display = display or self.index.concepts[position].display
            designations += self.index.designations(position)
            abstract = self.index.is_abstract(position)
            inactive = self.index.is_inactive(position)
        return Member(self.system, self.version, code, display, designations, abstract, inactive)

    def is_inactive(self, code: str) -> bool:
        """Whether the system says that a code is no longer used."""
        position = self.index.find(code) if self.index else None
        return self.index is not None and position is not None and self.index.is_inactive(position)

    def words(self, codes: Sequence[str]) -> WordIndex:
        """The words of some of the codes, by their place among them."""
        if self.index is None or self._listed:
            return WordIndex(self._text(self.member(code)) for code in codes)
        if len(codes) == len(self.index):
            return self.index.words
        positions = self.index.positions
        return WordIndex(self.index.text(positions[code]) for code in codes)

    @staticmethod
    def _text(member: Member) -> str:
        designations = (each.value for each in member.designations)
        return " ".join((member.code, member.display, *designations))
