"""From the parameters of a search to predicates, never dropping one silently (R4 search.html)."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_server.outcome import Invalid, Issue
from fhir_server.search.conditions import (
    Circumstances,
    Predicate,
    PredicateError,
    split_at,
)
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.predicates import predicate, supported

# Parameters that shape the answer rather than select; read by the search interaction and the door.
RESULT_PARAMETERS = frozenset(
    {"_count", "_cursor", "_elements", "_format", "_pretty", "_summary", "_total"}
)
MOST_PARAMETERS = 100

# PostgreSQL binds at most 65,535 values to a statement; a search value takes up to four.
MOST_VALUES = 10_000


@dataclass(slots=True)
class Query:
    """A search that was understood.

    type: the type searched, empty for all types.
    predicates: all of them must hold.
    applied: the parameters that were used, for the self link.
    ignored: issues for the parameters that `handling=lenient` left out.
    """

    type: str
    predicates: list[Predicate] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[Issue] = field(default_factory=list)


def parse(
    parameters: SearchParameters,
    type_: str,
    query: Sequence[tuple[str, str]],
    where: Circumstances,
    *,
    lenient: bool = False,
) -> Query:
    """Understand the selecting parameters of a search on a type.

    lenient: unknown parameters are left out and listed in `ignored` (Prefer: handling=lenient).
    Raises `Invalid` naming every parameter that is unknown or whose value is wrong.
    """
    if len(query) > MOST_PARAMETERS:
        raise Invalid(
            Issue("too-costly", f"{len(query)} parameters; at most {MOST_PARAMETERS} are allowed")
        )
    result = Query(type_)
    wrong: list[Issue] = []
    for name, value in query:
        if name in RESULT_PARAMETERS:
            continue
        try:
            result.predicates.append(_predicate(parameters, type_, name, value, where))
            result.applied.append((name, value))
        except _Unknown as unknown:
            (result.ignored if lenient else wrong).append(unknown.issue)
        except PredicateError as error:
            wrong.append(Issue("invalid", f"{name}={value}: {error}"))
    if wrong:
        raise Invalid(wrong)
    if (bound := sum(len(item.values) for item in result.predicates)) > MOST_VALUES:
        text = f"The parameters have {bound} values; at most {MOST_VALUES} are allowed"
        raise Invalid(Issue("too-costly", text))
    return result


class _Unknown(Exception):
    """A parameter or modifier that this server does not search by."""

    def __init__(self, issue: Issue) -> None:
        self.issue = issue


def _predicate(
    parameters: SearchParameters, type_: str, name: str, value: str, where: Circumstances
) -> Predicate:
    code, _, modifier = name.partition(":")
    parameter = parameters.get(type_ or "Resource", code)
    place = type_ or "all types"
    if parameter is None:
        known = sorted(item.code for item in parameters.of(type_ or "Resource") if supported(item))
        near = difflib.get_close_matches(code, known, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        text = f"Unknown search parameter {name!r} on {place}; {hint}known: {', '.join(known)}"
        raise _Unknown(Issue("not-supported", text))
    allowed = supported(parameter)
    if not allowed:
        text = f"The search parameter {code!r} ({parameter.type}) on {place} is not supported yet"
        raise _Unknown(Issue("not-supported", text))
    if modifier not in allowed and not (
        "[type]" in allowed and modifier in (parameter.targets or ())
    ):
        names = ", ".join(f":{item}" for item in sorted(allowed) if item) or "no modifier"
        text = f"The modifier :{modifier} is not supported on {code!r} of {place}; known: {names}"
        raise _Unknown(Issue("not-supported", text))
    return predicate(parameter, modifier, split_at(",", value), where)
