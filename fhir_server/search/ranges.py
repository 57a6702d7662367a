"""Dates, numbers and quantities as conditions on ranges (R4 search.html#prefix)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fhir_server.search.conditions import (
    Circumstances,
    Column,
    Condition,
    Keys,
    Measured,
    Ordered,
    PredicateError,
    any_of,
    split_bar,
)
from fhir_server.search.keys import WITHIN, key, parameter_name
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.values import Instants, number_range
from fhir_server.storage.resources import array

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

# Longer ranges of time than this, in microseconds, are few and have an index of their own, by their
# end; so have ranges of numbers that are not a single one. What starts later than this before a
# value is in reach of the ordered index, so that each text below is one stretch of one index.
LONG = 25 * 3600 * 1_000_000
_LONG_DATE = f"v.high - v.low > {LONG}"
_SPREAD = "v.low < v.high"

# Each prefix as conditions on the stored range and the value's range [%s, %s), of which one must
# hold: the order in which the value's ends are bound follows the text; `s` is what starts `LONG`
# before the value. A stored date is [low, high).
_DATES = {
    "eq": [("v.low >= %s and v.low < %s and v.high <= %s", "lhh")],
    "ne": [("(v.low < %s or v.high > %s)", "lh")],
    "gt": [("v.low > %s and v.high > %s", "Hh"), (f"{_LONG_DATE} and v.high > %s", "h")],
    "lt": [("v.low < %s", "l")],
    "ge": [
        ("v.low > %s and (v.low >= %s or v.high > %s)", "Slh"),
        (f"{_LONG_DATE} and v.high > %s", "h"),
    ],
    "le": [("v.low < %s and (v.high <= %s or v.low < %s)", "hhl")],
    "sa": [("v.low >= %s", "h")],
    "eb": [("v.low < %s and v.high <= %s", "ll")],
    "ap": [
        ("v.low > %s and v.low < %s and v.high > %s", "Shl"),
        (f"{_LONG_DATE} and v.high > %s and v.low < %s", "lh"),
    ],
}
# A stored number is [low, high]; after a prefix that compares, the value stands for itself alone.
_NUMBERS = {
    "eq": [("v.low >= %s and v.low < %s and v.high < %s", "lhh")],
    "ne": [("(v.low < %s or v.high >= %s)", "lh")],
    "gt": [("v.low > %s", "l"), (f"{_SPREAD} and v.high > %s", "l")],
    "lt": [("v.low < %s", "l")],
    "ge": [("v.low >= %s", "l"), (f"{_SPREAD} and v.high >= %s", "l")],
    "le": [("v.low <= %s", "l")],
    "sa": [("v.low > %s", "l")],
    "eb": [("v.low < %s and v.high < %s", "ll")],
    "ap": [
        ("v.low >= %s and v.low < %s", "lh"),
        (f"{_SPREAD} and v.high >= %s and v.low < %s", "lh"),
    ],
}
Texts = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """A search value as the range it stands for, and how stored ranges are compared with it."""

    prefix: str
    low: Any
    high: Any


def split_prefix(value: str) -> tuple[str, str]:
    """A value's prefix, `eq` when it has none, and the rest."""
    return (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)


def bound(table: dict[str, list[tuple[str, str]]], bounds: Bounds) -> Texts:
    """The texts about a row `v`, of which one must hold, with their values."""
    ends = {"l": bounds.low, "h": bounds.high}
    if table is _DATES:
        ends |= {"S": bounds.low - LONG, "H": bounds.high - LONG}
    texts = table[bounds.prefix]
    return tuple((text, tuple(ends[end] for end in order)) for text, order in texts)


def date(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """A date parameter with one value."""
    prefix, text = split_prefix(value)
    bounds = date_bounds(value, where)
    if prefix == "eq" and _PERIOD.fullmatch(text):
        # What lies in a year or a month as a whole has a key that says so.
        name = parameter_name(parameter.resource_type, parameter.code, WITHIN)
        return Keys((key(name, text),))
    return dated(parameter.hash, bounds)


_PERIOD = re.compile(r"[1-9]\d{3}(-\d\d)?", re.ASCII)


def dated(parameter: int, bounds: Bounds) -> Condition:
    """The condition on the dates that stand under the hash of a parameter."""
    return Ordered("date_value", parameter, bound(_DATES, bounds), bounds.prefix == "eq")


def date_bounds(value: str, where: Circumstances) -> Bounds:
    """A search value for dates. Raises `PredicateError`."""
    prefix, text = split_prefix(value)
    try:
        low, high = Instants(where.zone).of_text(text)
    except ValueError:
        raise PredicateError(
            f"{text!r} is no date; expected YYYY[-MM[-DD[Thh:mm[:ss]Z]]] after an optional "
            f"prefix ({', '.join(PREFIXES)})"
        ) from None
    if prefix == "ap":
        slack = abs(int(where.now.timestamp() * 1_000_000) - low) // 10
        low, high = low - slack, high + slack
    return Bounds(prefix, low, high)


def number(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """A number parameter with one value."""
    return numbered(parameter.hash, number_bounds(value))


def numbered(parameter: int, bounds: Bounds) -> Condition:
    """The condition on the numbers that stand under the hash of a parameter."""
    texts = tuple((f"v.unit = 0 and {sql}", ends) for sql, ends in bound(_NUMBERS, bounds))
    return Ordered("number_value", parameter, texts, bounds.prefix == "eq")


def point(bounds: Bounds, column: str) -> tuple[str, tuple[Any, ...]]:
    """The text about a column that is one number, not the end of a range."""
    text, values = bound(_NUMBERS, bounds)[0]
    return re.sub(r"v\.(low|high)", column, text), values


def numbered_in(
    parameter: int, units: Sequence[tuple[int, Callable[[Decimal], Decimal]]], measured: Measured
) -> Condition:
    """A quantity in the units it is stored in, each with the way from the unit asked for."""
    units_by_bounds: dict[Bounds, list[int]] = {}
    for unit, into in units:
        bounds = Bounds(measured.prefix, into(measured.low), into(measured.high))
        units_by_bounds.setdefault(bounds, []).append(unit)
    found: list[tuple[str, tuple[Any, ...]]] = []
    for bounds, same in units_by_bounds.items():
        one_of, value = "%s", str(same[0])
        if len(same) > 1:
            one_of, value = "any(%s::bigint[])", array(same)
        for text, ends in bound(_NUMBERS, bounds):
            found.append((f"v.unit = {one_of} and {text}", (value, *ends)))
    return Ordered("number_value", parameter, tuple(found), measured.prefix == "eq")


def quantity(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """A quantity parameter with one value: `number`, `number|system|code` or `number||code`."""
    return measured(parameter.hash, value)


def measured(parameter: int, value: str) -> Condition:
    """The condition on the quantities that stand under the hash of a parameter."""
    parts = split_bar(value)
    if len(parts) not in (1, 3):
        raise PredicateError("expected [prefix]number or [prefix]number|system|code")
    bounds = number_bounds(parts[0])
    _, system, code = parts if len(parts) == 3 else (parts[0], "", "")
    return Measured(parameter, system or None, code, bounds.prefix, bounds.low, bounds.high)


_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)


def number_bounds(value: str) -> Bounds:
    """A search value for numbers. Raises `PredicateError`."""
    prefix, text = split_prefix(value)
    if not _NUMBER.fullmatch(text):
        raise PredicateError(
            f"{text!r} is no number; expected one after an optional prefix ({', '.join(PREFIXES)})"
        )
    low, high = number_range(Decimal(text))
    if prefix not in ("eq", "ne", "ap"):
        low = high = Decimal(text)
    if prefix == "ap":
        slack = abs(low + high) / 20
        low, high = low - slack, high + slack
    return Bounds(prefix, low, high)


_LAST_UPDATED = {
    "eq": ("({r}.last_updated >= %s and {r}.last_updated < %s)", "lh"),
    "ne": ("not ({r}.last_updated >= %s and {r}.last_updated < %s)", "lh"),
    "gt": ("{r}.last_updated >= %s", "h"),
    "lt": ("{r}.last_updated < %s", "l"),
    "ge": ("{r}.last_updated >= %s", "l"),
    "le": ("{r}.last_updated < %s", "h"),
    "sa": ("{r}.last_updated >= %s", "h"),
    "eb": ("{r}.last_updated < %s", "l"),
    "ap": ("({r}.last_updated >= %s and {r}.last_updated < %s)", "lh"),
}
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def last_updated(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """`_lastUpdated` with one value: a column, not a value that an expression finds."""
    bounds = date_bounds(value, where)
    text, order = _LAST_UPDATED[bounds.prefix]
    ends = {"l": _instant(bounds.low), "h": _instant(bounds.high)}
    return Column(text, tuple(ends[end] for end in order))


def _instant(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        end = datetime.min if microseconds < 0 else datetime.max
        return end.replace(tzinfo=_EPOCH.tzinfo)


def any_value(
    make: Callable[[SearchParameter, str, Circumstances], Condition],
) -> Callable[[SearchParameter, str, Sequence[str], Circumstances], Condition]:
    """The condition for several alternatives, of which each is made alone."""

    def made(
        parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
    ) -> Condition:
        return any_of(make(parameter, value, where) for value in values)

    return made
