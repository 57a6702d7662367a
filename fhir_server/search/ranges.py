"""Dates, numbers and quantities as conditions on ranges (R4 search.html#prefix)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fhir_server.search import keys
from fhir_server.search.conditions import (
    Circumstances,
    Predicate,
    PredicateError,
    any_of,
    negated,
    split_bar,
)
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.values import Instants, number_range

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

# Each prefix as a condition on the stored range and the value's range [%s, %s): the order in which
# the value's ends are bound follows the text. A stored date is [low, high).
_DATES = {
    "eq": ("low >= %s and high <= %s", "lh"),
    "gt": ("high > %s", "h"),
    "lt": ("low < %s", "l"),
    "ge": ("(low >= %s or high > %s)", "lh"),
    "le": ("(high <= %s or low < %s)", "hl"),
    "sa": ("low >= %s", "h"),
    "eb": ("high <= %s", "l"),
    "ap": ("low < %s and high > %s", "hl"),
}
# A stored number is [low, high]; after a prefix that compares, the value stands for itself alone.
_NUMBERS = {
    "eq": ("low >= %s and high < %s", "lh"),
    "gt": ("high > %s", "l"),
    "lt": ("low < %s", "l"),
    "ge": ("high >= %s", "l"),
    "le": ("low <= %s", "l"),
    "sa": ("low > %s", "l"),
    "eb": ("high < %s", "l"),
    "ap": ("low < %s and high >= %s", "hl"),
}
_TABLES = {"date_value": _DATES, "number_value": _NUMBERS}


def split_prefix(value: str) -> tuple[str, str]:
    """A value's prefix, `eq` when it has none, and the rest."""
    return (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)


def _ranged(table: str, prefix: str, low: Any, high: Any, fixed: dict[str, Any]) -> Predicate:
    condition, order = _TABLES[table]["eq" if prefix == "ne" else prefix]
    ends = tuple(low if end == "l" else high for end in order)
    names = "".join(f"and v.{name} = %s " for name in fixed)
    sql = f"exists (select from {{s}}.{table} v where v.rid = r.rid {names}and {condition})"
    found = Predicate(sql, (*fixed.values(), *ends))
    return negated(found) if prefix == "ne" else found


def date(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        prefix, low, high = _date_range(value, where)
        found.append(_ranged("date_value", prefix, low, high, {"parameter": parameter.hash}))
    return any_of(found)


def _date_range(value: str, where: Circumstances) -> tuple[str, int, int]:
    prefix, text = split_prefix(value)
    instants = Instants(where.zone)
    try:
        low, high = instants.of_text(text)
    except ValueError:
        raise PredicateError(
            f"{text!r} is no date; expected YYYY[-MM[-DD[Thh:mm[:ss]Z]]] after an optional "
            f"prefix ({', '.join(PREFIXES)})"
        ) from None
    if prefix == "ap":
        now = int(datetime.now(where.zone).timestamp() * 1_000_000)
        slack = abs(now - low) // 10
        low, high = low - slack, high + slack
    return prefix, low, high


def number(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        prefix, low, high = _number_range(value)
        fixed = {"parameter": parameter.hash}
        found.append(_ranged("number_value", prefix, low, high, fixed))
    return any_of(found)


def quantity(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        parts = split_bar(value)
        if len(parts) not in (1, 3):
            raise PredicateError("expected [prefix]number or [prefix]number|system|code")
        fixed = {"parameter": parameter.hash}
        if len(parts) == 3 and parts[2]:
            _, system, code = parts
            fixed["unit"] = (
                keys.unit_in_system(system, code) if system else keys.unit_without_system(code)
            )
        prefix, low, high = _number_range(parts[0])
        found.append(_ranged("number_value", prefix, low, high, fixed))
    return any_of(found)


_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)


def _number_range(value: str) -> tuple[str, Any, Any]:
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
    return prefix, low, high


_LAST_UPDATED = {
    "eq": ("r.last_updated >= %s and r.last_updated < %s", "lh"),
    "ne": ("not (r.last_updated >= %s and r.last_updated < %s)", "lh"),
    "gt": ("r.last_updated >= %s", "h"),
    "lt": ("r.last_updated < %s", "l"),
    "ge": ("r.last_updated >= %s", "l"),
    "le": ("r.last_updated < %s", "h"),
    "sa": ("r.last_updated >= %s", "h"),
    "eb": ("r.last_updated < %s", "l"),
    "ap": ("r.last_updated >= %s and r.last_updated < %s", "lh"),
}
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def last_updated(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        prefix, low, high = _date_range(value, where)
        sql, order = _LAST_UPDATED[prefix]
        ends = {"l": _instant(low), "h": _instant(high)}
        found.append(Predicate(f"({sql})", tuple(ends[end] for end in order)))
    return any_of(found)


def _instant(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        end = datetime.min if microseconds < 0 else datetime.max
        return end.replace(tzinfo=_EPOCH.tzinfo)
