"""From the parameters of a search to what they ask; none is dropped silently (R4 search.html)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.outcome import Invalid, Issue
from fhir_server.search.conditions import (
    ALWAYS,
    Circumstances,
    Column,
    Condition,
    PredicateError,
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

# PostgreSQL binds at most 65,535 values to a statement; a search value takes up to four.
MOST_VALUES = 10_000


def shapes(name: str) -> bool:
    """Whether a parameter shapes the answer rather than selects."""
    return name in RESULT_PARAMETERS or including(name)


def parsed(name: str) -> bool:
    """Whether `parse` reads a parameter although it shapes the answer."""
    return name == "_sort" or including(name)


@dataclass(slots=True)
class Query:
    """A search that was understood.

    type: the type searched, empty for all types.
    types: those that a search of all types is confined to, none for all.
    condition: what a match meets, beside its type.
    sort: what matches are sorted by, before their row id.
    includes: the rules of what comes along with matches.
    applied: the parameters that were used, for the self link.
    ignored: issues for the parameters that `handling=lenient` left out.
    """

    type: str
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

    within: what every match meets beside what the parameters ask, such as a compartment.
    unready: why a parameter cannot be searched by yet, by type and code.
    lenient: unknown parameters are left out and listed in `ignored` (Prefer: handling=lenient).
    Raises `Invalid` naming every parameter that is unknown or whose value is wrong.
    """
    if len(query) > MOST_PARAMETERS:
        raise Invalid(
            Issue("too-costly", f"{len(query)} parameters; at most {MOST_PARAMETERS} are allowed")
        )
    reading = _Reading(parameters, type_, where, unready or {}, lenient)
    types = reading.types(query)
    conditions = [within]
    for name, value in query:
        if name == "_sort":
            reading.sorts(name, value)
        elif including(name):
            reading.includes(name, value, alone=("_summary", "text") in query)
        elif name != "_type" and not shapes(name):
            reading.selects(conditions, name, value)
    if reading.wrong:
        raise Invalid(reading.wrong)
    condition = all_of(conditions)
    if (bound := size(condition)) > MOST_VALUES:
        text = f"The parameters come to {bound} values; at most {MOST_VALUES} are allowed"
        raise Invalid(Issue("too-costly", text))
    found = reading.result
    found.types, found.condition = types, condition
    return found


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
        self.result = Query(type_)
        self._parameters = parameters
        self._types: tuple[str, ...] = ()
        self._selecting = Selecting(parameters, where, unready)
        self._lenient = lenient

    def types(self, query: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """What `_type` confines a search of all types to (R4 http.html#search)."""
        for name, value in query:
            if name != "_type":
                continue
            names = tuple(dict.fromkeys(value.split(",")))
            strange = [item for item in names if item == ANY_TYPE or not self._parameters.of(item)]
            if self.result.type:
                text = f"_type is for searches of all types; this one is of {self.result.type}"
                self._refuse(Issue("not-supported", text))
            elif strange or self._types:
                text = (
                    f"_type={value}: expected names of resource types, once, not {strange or value}"
                )
                self.wrong.append(Issue("value", text))
            else:
                self._types = names
                self.result.applied.append((name, value))
        return self._types

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
        if self.result.type:
            return self._selecting.condition(self.result.type, name, value)
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
                sort_key(self._selecting.parameter(self.result.type or ANY_TYPE, code), descending)
                for code, descending in rules(value)
            )
            self.result.applied.append((name, value))
        except Unknown as unknown:
            self._refuse(unknown.issue)
        except PredicateError as error:
            self.wrong.append(Issue("invalid", f"{name}={value}: {error}"))

    def includes(self, name: str, value: str, *, alone: bool) -> None:
        """Add what comes along; nothing may if the matches are to stand `alone`."""
        if alone:
            text = f"{name}={value}: nothing is included in _summary=text (R4 search.html#summary)"
            self._refuse(Issue("not-supported", text))
            return
        searched = (self.result.type,) if self.result.type else self._types
        try:
            rule = include(name, value, searched, self._parameters, self._selecting)
            self.result.includes = tuple(dict.fromkeys([*self.result.includes, rule]))
            self.result.applied.append((name, value))
        except Unknown as unknown:
            self._refuse(Issue(unknown.issue.code, f"{name}={value}: {unknown.issue.diagnostics}"))
        except PredicateError as error:
            self.wrong.append(Issue("invalid", f"{name}={value}: {error}"))

    def _refuse(self, issue: Issue) -> None:
        (self.result.ignored if self._lenient else self.wrong).append(issue)
