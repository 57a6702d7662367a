"""What `_filter` asks, as a condition (R4 search_filter.html)."""

from collections.abc import Callable

from fhir_server.search import filter as syntax
from fhir_server.search import ranges
from fhir_server.search.conditions import (
    Circumstances,
    Concepts,
    Condition,
    Not,
    PredicateError,
    Refers,
    Selection,
    all_of,
    any_of,
    ordered,
    split_bar,
)
from fhir_server.search.filter import NAMESPACES, OPERATORS, Comparison, Junction, Operator, Step
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.predicates import containing, folded, predicate, stringed

# Finds the condition of a value under a parameter.
_Make = Callable[[SearchParameter, str, Circumstances], Condition]

# Follows a reference to where a parameter is known: the reference, its target types that have the
# parameter, and whether it goes by url.
Follow = Callable[[str, str, str, str], tuple[SearchParameter, tuple[str, ...], bool]]
Find = Callable[[str, str], SearchParameter]


class Filtering:
    """Turns filters on a type into conditions.

    find: the parameter of a type and code. follow: the same for a reference, with its targets.
    Both raise what a search parameter in a URL would raise.
    """

    def __init__(self, find: Find, follow: Follow, where: Circumstances) -> None:
        self._find = find
        self._follow = follow
        self._where = where

    def condition(self, type_: str, text: str) -> Condition:
        """What a filter asks of a resource of a type. Raises `PredicateError`."""
        try:
            return self._of(type_, syntax.parse(text))
        except syntax.FilterError as error:
            raise PredicateError(str(error)) from None

    def _of(self, type_: str, filter_: syntax.Filter) -> Condition:
        match filter_:
            case Comparison():
                return self._comparison(type_, filter_.path, filter_)
            case syntax.Not(filter=inner):
                return Not(self._of(type_, inner))
            case Junction(operator=operator, parts=parts):
                joined = all_of if operator == "and" else any_of
                return joined([self._of(type_, part) for part in parts])

    def _comparison(self, type_: str, path: tuple[Step, ...], comparison: Comparison) -> Condition:
        first, *rest = path
        if not rest:
            if first.type or first.filter:
                raise PredicateError(f"expected a parameter after {first.name!r}")
            return self._leaf(self._find(type_, first.name), comparison)
        parameter, targets, by_url = self._follow(type_, first.name, first.type or "", rest[0].name)
        found = []
        for target in targets:
            inner = self._comparison(target, tuple(rest), comparison)
            if first.filter:
                inner = all_of([self._of(target, first.filter), inner])
            found.append(Refers(parameter.hash, Selection(target, inner), by_url))
        return any_of(found)

    def _leaf(self, parameter: SearchParameter, comparison: Comparison) -> Condition:
        operator = comparison.operator
        make = _MAKERS.get((operator, parameter.type))
        if parameter.keyed is not None and (operator, parameter.type) not in _OF_WHOLE:
            raise PredicateError(
                f"the values of {parameter.code} are encrypted at rest and can only be found as a "
                f"whole; {operator.value} does not do that"
            )
        if parameter.code == "_lastUpdated" and operator in _PREFIXED:
            make = _prefixed(operator)
        if make is None:
            known = [item.value for item in Operator if parameter.type in OPERATORS.get(item, {})]
            raise PredicateError(
                f"{operator.value} does not compare {parameter.code} ({parameter.type}); "
                f"expected one of {', '.join(known)}"
            )
        return make(parameter, comparison.value, self._where)


def _plain(modifier: str = "") -> _Make:
    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        if parameter.type == "token":
            value = _with_system(value)
        return predicate(parameter, modifier, [value], where)

    return make


def _with_system(value: str) -> str:
    name, bar, code = value.partition("|")
    return f"{NAMESPACES.get(name, name)}|{code}" if bar else value


_PREFIXED = {
    operator: operator.value
    for operator in (
        Operator.EQ, Operator.NE, Operator.GT, Operator.LT, Operator.GE, Operator.LE,
        Operator.AP, Operator.SA, Operator.EB,
    )
}  # fmt: skip


def _prefixed(operator: Operator) -> _Make:
    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        return predicate(parameter, "", [operator.value + value], where)

    return make


def _text(sql: str) -> _Make:
    """A comparison of the folded text."""

    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        return ordered("string_value", parameter.hash, f"v.value {sql} %s", (folded(value),))

    return make


def _starts(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    return stringed(parameter.hash, value)


def _part(pattern: str) -> _Make:
    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        return containing(parameter, value, pattern)

    return make


def _dates(sql: str, order: str) -> _Make:
    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        bounds = ranges.date_bounds(value, where)
        if bounds.prefix != "eq":
            raise PredicateError("expected a date without a prefix")
        ends = tuple(bounds.low if end == "l" else bounds.high for end in order)
        return ordered("date_value", parameter.hash, sql, ends)

    return make


def _number_includes(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    bounds = ranges.number_bounds(value)
    sql = "v.unit = 0 and v.low < %s and v.high >= %s"
    return ordered("number_value", parameter.hash, sql, (bounds.high, bounds.low))


def _present(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    if value not in ("true", "false"):
        raise PredicateError("expected true or false after pr")
    return predicate(parameter, "missing", ["false" if value == "true" else "true"], where)


def _related(relation: str) -> _Make:
    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        return predicate(parameter, relation, [_with_system(value)], where)

    return make


def _not_in(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    return Not(Concepts(parameter.name, "in", "", value, parameter.keyed))


def _quantity(operator: Operator) -> _Make:
    def make(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
        if len(split_bar(value)) == 3:
            number, system, code = value.split("|")
            value = f"{number}|{NAMESPACES.get(system, system)}|{code}"
        return predicate(parameter, "", [operator.value + value], where)

    return make


# What needs no more of a value than that it is the same.
_OF_WHOLE = frozenset(
    {
        (Operator.EQ, "token"),
        (Operator.EQ, "uri"),
        (Operator.RE, "reference"),
        (Operator.SS, "token"),
        (Operator.SB, "token"),
        (Operator.IN, "token"),
        (Operator.NI, "token"),
        *(
            (Operator.PR, type_)
            for type_ in ("string", "number", "date", "token", "reference", "quantity", "uri")
        ),
    }
)

_MAKERS: dict[tuple[Operator, str], _Make] = {
    **{(operator, "date"): _prefixed(operator) for operator in _PREFIXED},
    **{(operator, "number"): _prefixed(operator) for operator in _PREFIXED},
    **{(operator, "quantity"): _quantity(operator) for operator in _PREFIXED},
    (Operator.EQ, "token"): _plain(),
    (Operator.EQ, "uri"): _plain(),
    (Operator.RE, "reference"): _plain(),
    (Operator.EQ, "string"): _text("="),
    (Operator.NE, "string"): _text("<>"),
    (Operator.GT, "string"): _text(">"),
    (Operator.LT, "string"): _text("<"),
    (Operator.GE, "string"): _text(">="),
    (Operator.LE, "string"): _text("<="),
    (Operator.CO, "string"): _part("%{}%"),
    (Operator.SW, "string"): _starts,
    (Operator.EW, "string"): _part("%{}"),
    (Operator.CO, "date"): _dates("v.low <= %s and v.high >= %s", "lh"),
    (Operator.PO, "date"): _dates("v.low < %s and v.high > %s", "hl"),
    (Operator.CO, "number"): _number_includes,
    (Operator.SS, "token"): _related("below"),
    (Operator.SB, "token"): _related("above"),
    (Operator.IN, "token"): _plain("in"),
    (Operator.NI, "token"): _not_in,
    **{
        (Operator.PR, type_): _present
        for type_ in ("string", "number", "date", "token", "reference", "quantity", "uri")
    },
}
