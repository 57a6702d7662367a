"""What a code maps to (R4 conceptmap.html, conceptmap-operation-translate.html)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.outcome import Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.model import ConceptMap, Dependency, MapGroup, MapTarget

# Read from the target to the source; the others are the same both ways.
_REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
# Groups of a map, those of the maps it hands on to counted each time.
_MOST_PARTS = 1_000
_NO_MATCH = frozenset({"unmatched", "disjoint"})


@dataclass(frozen=True, slots=True)
class Translation:
    """One thing that a code maps to.

    equivalence: how the target is in relation to the source that was asked for.
    source: canonical URL of the map that says so.
    depends_on, product: further elements that the mapping needs or gives.
    """

    system: str
    version: str
    code: str
    display: str
    equivalence: str
    source: str
    comment: str = ""
    depends_on: tuple[Dependency, ...] = ()
    product: tuple[Dependency, ...] = ()

    @property
    def matches(self) -> bool:
        """Whether this is a target, not the statement that there is none."""
        return self.equivalence not in _NO_MATCH


class ConceptMapIndex:
    """A concept map, to be asked both ways.

    others: the maps that it may hand a code on to, by canonical, or why there is none.
    Raises a Refusal for one made of too many parts.
    """

    def __init__(self, map_: ConceptMap, others: Mapping[str, "ConceptMapIndex | Refusal"]) -> None:
        self.url = map_.url
        self.version = map_.version
        self._groups = map_.group
        self._others = others
        further = (others[url] for url in handed_on(map_))
        self.parts: int = len(map_.group) + sum(
            each.parts for each in further if isinstance(each, ConceptMapIndex)
        )
        if self.parts > _MOST_PARTS:
            why = f"it is made of more than {_MOST_PARTS} groups"
            raise refusals.not_understood("ConceptMap", self.url, why)
        self._forward = [_by_source(group) for group in map_.group]
        self._backward = [_by_target(group) for group in map_.group]

    @property
    def weight(self) -> int:
        """How many codes it keeps."""
        return sum(map(len, self._forward)) + sum(map(len, self._backward))

    def translate(self, system: str, code: str, target: str = "") -> list[Translation]:
        """What a code maps to, in the order of the map; empty when no group speaks of it.

        target: the system to map to, empty for any.
        """
        found: list[Translation] = []
        for group, elements in zip(self._groups, self._forward, strict=True):
            if not (_fits(group.source, system) and _fits(group.target, target)):
                continue
            targets = elements.get(code)
            if targets is None:
                found += self._unmapped(group, system, code, target)
            else:
                found += (self._translation(group, each) for each in targets)
        return found

    def reverse(self, system: str, code: str, source: str = "") -> list[Translation]:
        """The codes that map to a code, with the equivalence turned round.

        source: the system to map back to, empty for any.
        """
        found: list[Translation] = []
        for group, elements in zip(self._groups, self._backward, strict=True):
            if not (_fits(group.target, system) and _fits(group.source, source)):
                continue
            for from_code, display, target in elements.get(code, ()):
                found.append(
                    Translation(
                        group.source,
                        group.source_version,
                        from_code,
                        display,
                        _REVERSED.get(target.equivalence, target.equivalence),
                        self.url,
                        target.comment,
                        target.depends_on,
                        target.product,
                    )
                )
        return found

    def _translation(self, group: MapGroup, target: MapTarget) -> Translation:
        return Translation(
            group.target,
            group.target_version,
            target.code,
            target.display,
            target.equivalence,
            self.url,
            target.comment,
            target.depends_on,
            target.product,
        )

    def _unmapped(
        self, group: MapGroup, system: str, code: str, target: str
    ) -> Sequence[Translation]:
        rule = group.unmapped
        if rule is None:
            return ()
        if rule.mode == "other-map":
            other = self._others[rule.url]
            if isinstance(other, Refusal):
                raise refusals.again(other)
            return other.translate(system, code, target)
        if rule.mode == "provided":
            fixed = MapTarget(code=code, equivalence="equal")
        elif rule.mode == "fixed":
            fixed = MapTarget(code=rule.code, display=rule.display, equivalence="inexact")
        else:
            why = f"its unmapped mode is '{rule.mode}'"
            raise refusals.not_understood("ConceptMap", self.url, why)
        return (self._translation(group, fixed),)


def handed_on(map_: ConceptMap) -> list[str]:
    """The canonicals of the maps that a map hands codes on to, one for each group that does."""
    rules = (group.unmapped for group in map_.group)
    return [rule.url for rule in rules if rule is not None and rule.mode == "other-map"]


def _fits(given: str, wanted: str) -> bool:
    """Whether a group's system is the wanted one; a group need not name its systems."""
    return not given or not wanted or given == wanted


def _by_source(group: MapGroup) -> dict[str, list[MapTarget]]:
    found: dict[str, list[MapTarget]] = {}
    for element in group.element:
        found.setdefault(element.code, []).extend(element.target)
    return found


def _by_target(group: MapGroup) -> dict[str, list[tuple[str, str, MapTarget]]]:
    found: dict[str, list[tuple[str, str, MapTarget]]] = {}
    for code, display, target in _pairs(group):
        if target.equivalence not in _NO_MATCH:
            found.setdefault(target.code, []).append((code, display, target))
    return found


def _pairs(group: MapGroup) -> Iterator[tuple[str, str, MapTarget]]:
    for element in group.element:
        for target in element.target:
            yield element.code, element.display, target
