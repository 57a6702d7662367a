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
    Measured,
    Ordered,
    PredicateError,
    any_of,
    split_bar,
)
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.values import Instants, number_range

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

# Each prefix as a condition on the stored range and the value's range [%s, %s): the order in which
# the value's ends are bound follows the text. A stored date is [low, high).
_DATES = {
    "eq": ("v.low >= %s and v.low < %s and v.high <= %s", "lhh"),
    "ne": ("(v.low < %s or v.high > %s)", "lh"),
    "gt": ("v.high > %s", "h"),
    "lt": ("v.low < %s", "l"),
    "ge": ("(v.low >= %s or v.high > %s)", "lh"),
    "le": ("(v.high <= %s or v.low < %s)", "hl"),
    "sa": ("v.low >= %s", "h"),
    "eb": ("v.high <= %s", "l"),
    "ap": ("v.low < %s and v.high > %s", "hl"),
}
# A stored number is [low, high]; after a prefix that compares, the value stands for itself alone.
_NUMBERS = {
    "eq": ("v.low >= %s and v.high < %s", "lh"),
    "ne": ("(v.low < %s or v.high >= %s)", "lh"),
    "gt": ("v.high > %s", "l"),
    "lt": ("v.low < %s", "l"),
    "ge": ("v.high >= %s", "l"),
    "le": ("v.low <= %s", "l"),
    "sa": ("v.low > %s", "l"),
    "eb": ("v.high < %s", "l"),
    "ap": ("v.low < %s and v.high >= %s", "hl"),
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """A search value as the range it stands for, and how stored ranges are compared with it."""

    prefix: str
    low: Any
    high: Any


def split_prefix(value: str) -> tuple[str, str]:
    """A value's prefix, `eq` when it has none, and the rest."""
    return (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)


def bound(table: dict[str, tuple[str, str]], bounds: Bounds) -> tuple[str, tuple[Any, ...]]:
    """The text about a row `v` and its values."""
    text, order = table[bounds.prefix]
    return text, tuple(bounds.low if end == "l" else bounds.high for end in order)


def date(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """A date parameter with one value."""
    return dated(parameter.hash, date_bounds(value, where))


def dated(parameter: int, bounds: Bounds) -> Condition:
    """The condition on the dates that stand under the hash of a parameter."""
    return Ordered("date_value", parameter, *bound(_DATES, bounds))


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
    """The condition on the numbers that stand under the hash of a parameter, in any unit."""
    return Ordered("number_value", parameter, *bound(_NUMBERS, bounds))


def point(bounds: Bounds, column: str) -> tuple[str, tuple[Any, ...]]:
    """The text about a column that is one number, not the end of a range."""
    text, values = bound(_NUMBERS, bounds)
    return re.sub(r"v\.(low|high)", column, text), values


def numbered_in(
    parameter: int, units: Sequence[tuple[int, Callable[[Decimal], Decimal]]], measured: Measured
) -> Condition:
    """A quantity in the units it is stored in, each with the way from the unit asked for."""
    texts: list[str] = []
    values: list[Any] = []
    for unit, into in units:
        bounds = Bounds(measured.prefix, into(measured.low), into(measured.high))
        text, ends = bound(_NUMBERS, bounds)
        texts.append(f"(v.unit = %s and {text})")
        values += (unit, *ends)
    return Ordered("number_value", parameter, f"({' or '.join(texts)})", tuple(values))


def quantity(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """A quantity parameter with one value: `number`, `number|system|code` or `number||code`."""
    return measured(parameter.hash, value)


def measured(parameter: int, value: str) -> Condition:
    """The condition on the quantities that stand under the hash of a parameter."""
    parts = split_bar(value)
    if len(parts) not in (1, 3):
        raise PredicateError("expected [prefix]number or [prefix]number|system|code")
    bounds = number_bounds(parts[0])
    if len(parts) == 1 or not (parts[1] or parts[2]):
        return numbered(parameter, bounds)
    _, system, code = parts
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
