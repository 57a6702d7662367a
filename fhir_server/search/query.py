"""From the parameters of a search to what they ask; none is dropped silently (R4 search.html)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.outcome import Invalid, Issue
from fhir_server.search.conditions import (
    ALWAYS,
    Circumstances,
    Column,
    Condition,
    Contains,
    PredicateError,
    Selection,
    all_of,
    any_of,
    size,
)
from fhir_server.search.includes import Include, include, including
from fhir_server.search.parameters import ANY_TYPE, SearchParameters
from fhir_server.search.selecting import Selecting, Unknown
from fhir_server.search.sorting import SortKey, rules, sort_key

# Parameters that shape the answer rather than select; read by the search interaction and the door.
RESULT_PARAMETERS = frozenset(
    {
        "_contained",
        "_containedType",
        "_count",
        "_cursor",
        "_elements",
        "_explain",
        "_format",
        "_pretty",
        "_sort",
        "_summary",
        "_total",
    }
)
MOST_PARAMETERS = 100

# What `_contained` asks for: real resources, what contains one, or both (R4 search.html#contained).
REAL, INSIDE, BOTH = "false", "true", "both"
# Sorting by these asks nothing of the type of a match.
_OF_EVERY_TYPE = ("_id", "_lastUpdated")

# PostgreSQL binds at most 65,535 values to a statement; a search value takes up to four.
MOST_VALUES = 10_000


_CONTAINED = {
    "_contained": (REAL, INSIDE, BOTH),
    "_containedType": ("container",),
}


def shapes(name: str) -> bool:
    """Whether a parameter shapes the answer rather than selects."""
    return name in RESULT_PARAMETERS or including(name)


def parsed(name: str) -> bool:
    """Whether `parse` reads a parameter although it shapes the answer."""
    return name in ("_sort", "_contained", "_containedType") or including(name)


@dataclass(slots=True)
class Query:
    """A search that was understood.

    types: those of the matches, none for any.
    condition: what a match meets, beside its type.
    sort: what matches are sorted by, before their row id.
    includes: the rules of what comes along with matches.
    applied: the parameters that were used, for the self link.
    ignored: issues for the parameters that `handling=lenient` left out.
    """

    types: tuple[str, ...] = ()
    condition: Condition = ALWAYS
    sort: tuple[SortKey, ...] = ()
    includes: tuple[Include, ...] = ()
    applied: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[Issue] = field(default_factory=list)


def parse(
    parameters: SearchParameters,
    type_: str,
    query: Sequence[tuple[str, str]],
    where: Circumstances,
    *,
    within: Condition = ALWAYS,
    unready: Mapping[tuple[str, str], str] | None = None,
    lenient: bool = False,
) -> Query:
    """Understand what a search on a type selects, sorts by and includes.

    within: what every match meets beside what the parameters ask, such as a compartment. What
        contains a resource is the match then, and not that resource.
    unready: why a parameter cannot be searched by yet, by type and code.
    lenient: unknown parameters are left out and listed in `ignored` (Prefer: handling=lenient).
    Raises `Invalid` naming every parameter that is unknown or whose value is wrong.
    """
    if len(query) > MOST_PARAMETERS:
        raise Invalid(
            Issue("too-costly", f"{len(query)} parameters; at most {MOST_PARAMETERS} are allowed")
        )
    reading = _Reading(parameters, type_, where, unready or {}, lenient)
    reading.types(query)
    reading.contained(query)
    conditions: list[Condition] = []
    for name, value in query:
        if name == "_sort":
            reading.sorts(name, value)
        elif including(name):
            reading.includes(name, value, alone=("_summary", "text") in query)
        elif name != "_type" and not shapes(name):
            reading.selects(conditions, name, value)
    if reading.wrong:
        raise Invalid(reading.wrong)
    condition = all_of([within, reading.selected(all_of(conditions))])
    if (bound := size(condition)) > MOST_VALUES:
        text = f"The parameters come to {bound} values; at most {MOST_VALUES} are allowed"
        raise Invalid(Issue("too-costly", text))
    reading.result.condition = condition
    return reading.result


class _Reading:
    """The parameters read so far, and what was wrong with them."""

    def __init__(
        self,
        parameters: SearchParameters,
        type_: str,
        where: Circumstances,
        unready: Mapping[tuple[str, str], str],
        lenient: bool,
    ) -> None:
        self.wrong: list[Issue] = []
        self.result = Query()
        self._parameters = parameters
        self._type = type_
        self._types: tuple[str, ...] = (type_,) if type_ else ()
        self._contained = REAL
        self._selecting = Selecting(parameters, where, unready)
        self._lenient = lenient

    def types(self, query: Sequence[tuple[str, str]]) -> None:
        """Read what `_type` confines a search of all types to (R4 http.html#search)."""
        for name, value in query:
            if name != "_type":
                continue
            names = tuple(dict.fromkeys(value.split(",")))
            strange = [item for item in names if item == ANY_TYPE or not self._parameters.of(item)]
            if self._type:
                text = f"_type is for searches of all types; this one is of {self._type}"
                self._refuse(Issue("not-supported", text))
            elif strange or self._types:
                text = (
                    f"_type={value}: expected names of resource types, once, not {strange or value}"
                )
                self.wrong.append(Issue("value", text))
            else:
                self._types = names
                self.result.applied.append((name, value))
        self.result.types = self._types

    def contained(self, query: Sequence[tuple[str, str]]) -> None:
        """Read whether contained resources are asked for (R4 search.html#contained)."""
        seen: set[str] = set()
        for name, value in query:
            if name not in _CONTAINED:
                continue
            if (name, value) == ("_containedType", "contained"):
                text = (
                    "_containedType=contained is not supported: contained resources are returned "
                    "in their containers, as by _containedType=container"
                )
                self._refuse(Issue("not-supported", text))
            elif name in seen or value not in _CONTAINED[name]:
                expected = ", ".join(_CONTAINED[name])
                self.wrong.append(Issue("value", f"{name}={value}: expected one of {expected}"))
            else:
                self.result.applied.append((name, value))
                if name == "_contained":
                    self._contained = value
            seen.add(name)
        if self._contained != REAL:
            self.result.types = ()

    def selected(self, condition: Condition) -> Condition:
        """What matches meet if what was searched for meets a condition."""
        if self._contained == REAL:
            return condition
        of = Column("{r}.type = any(%s::text[])", (list(self._types),), found=True)
        typed = all_of([of, condition]) if self._types else condition
        inside = Contains(Selection(self._type, condition if self._type else typed))
        return inside if self._contained == INSIDE else any_of([typed, inside])

    def selects(self, conditions: list[Condition], name: str, value: str) -> None:
        """Add what a selecting parameter asks."""
        try:
            conditions.append(self._condition(name, value))
            self.result.applied.append((name, value))
        except Unknown as unknown:
            self._refuse(unknown.issue)
        except PredicateError as error:
            self.wrong.append(Issue("invalid", f"{name}={value}: {error}"))

    def _condition(self, name: str, value: str) -> Condition:
        if self._type:
            return self._selecting.condition(self._type, name, value)
        shared = self._parameters.get(ANY_TYPE, name.partition(":")[0])
        if not self._types or (shared and shared.type != "special"):
            return self._selecting.condition(ANY_TYPE, name, value)
        # Keys are made with the name of a type, so each type has a condition of its own.
        return any_of(
            all_of(
                [
                    Column("{r}.type = %s", (type_,)),
                    self._selecting.condition(type_, name, value),
                ]
            )
            for type_ in self._types
        )

    def sorts(self, name: str, value: str) -> None:
        """Add what `_sort` names."""
        if self.result.sort:
            self.wrong.append(Issue("invalid", "_sort may be given once; separate rules by commas"))
            return
        try:
            self.result.sort = tuple(
                self._sort_key(code, descending) for code, descending in rules(value)
            )
            self.result.applied.append((name, value))
        except Unknown as unknown:
            self._refuse(unknown.issue)
        except PredicateError as error:
            self.wrong.append(Issue("invalid", f"{name}={value}: {error}"))

    def _sort_key(self, code: str, descending: bool) -> SortKey:
        type_ = self._type or ANY_TYPE
        if self._contained != REAL:
            if code not in _OF_EVERY_TYPE:
                text = (
                    f"_sort={code}: with _contained={self._contained} the matches are of any "
                    f"type; expected {' or '.join(_OF_EVERY_TYPE)}"
                )
                raise Unknown(Issue("not-supported", text))
            type_ = ANY_TYPE
        return sort_key(self._selecting.parameter(type_, code), descending)

    def includes(self, name: str, value: str, *, alone: bool) -> None:
        """Add what comes along; nothing may if the matches are to stand `alone`."""
        if alone:
            text = f"{name}={value}: nothing is included in _summary=text (R4 search.html#summary)"
            self._refuse(Issue("not-supported", text))
            return
        try:
            rule = include(name, value, self.result.types, self._parameters, self._selecting)
            self.result.includes = tuple(dict.fromkeys([*self.result.includes, rule]))
            self.result.applied.append((name, value))
        except Unknown as unknown:
            self._refuse(Issue(unknown.issue.code, f"{name}={value}: {unknown.issue.diagnostics}"))
        except PredicateError as error:
            self.wrong.append(Issue("invalid", f"{name}={value}: {error}"))

    def _refuse(self, issue: Issue) -> None:
        (self.result.ignored if self._lenient else self.wrong).append(issue)
