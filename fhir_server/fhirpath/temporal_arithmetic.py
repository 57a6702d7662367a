"""Adding durations to dates and times (FHIRPath 2.0.0 N1 section 6.6.7)."""

from calendar import monthrange
from datetime import date
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.temporal import FhirTime, Kind, Part, Temporal

# Units by size, and how many of the finer one make the next coarser one where N1 counts by rule.
_UNITS = ("year", "month", "day", "hour", "minute", "second")
_IN_COARSER = {"month": 12, "day": 30, "hour": 24, "minute": 60, "second": 60}
_DAYS_A_YEAR = 365
_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_SECONDS_A_DAY = _SECONDS["day"]


def add(value: Kind, amount: Decimal, unit: str) -> Kind | None:
    """`value` later by `amount` of a calendar unit; None when no such date exists.

    unit: `year` to `millisecond`; a time takes `hour` and finer.
    Fractions of units coarser than a second are dropped. What is finer than the precision of
    `value` counts in whole units of that precision.
    """
    if unit == "week":
        amount, unit = amount.to_integral_value("ROUND_DOWN") * 7, "day"
    elif unit == "millisecond":
        amount, unit = amount / 1000, "second"
    if unit != "second":
        amount = amount.to_integral_value("ROUND_DOWN")
    amount, unit = _in_precision(value, amount, unit)
    if isinstance(value, FhirTime):
        return _replaced(value, _shifted_time(value.parts, amount, unit))
    parts = _shifted(value.parts, amount, unit)
    return None if parts is None else _replaced(value, parts)


def _replaced(value: Kind, parts: tuple[Part, ...]) -> Kind:
    return type(value)(parts, value.offset)


def _in_precision(value: Temporal, amount: Decimal, unit: str) -> tuple[Decimal, str]:
    first = _UNITS.index("hour") if isinstance(value, FhirTime) else 0
    finest = first + len(value.parts) - 1
    at = _UNITS.index(unit)
    if at > finest == 0 and at >= _UNITS.index("day"):
        while unit != "day":
            amount, unit = amount / _IN_COARSER[unit], _UNITS[_UNITS.index(unit) - 1]
        return (amount / _DAYS_A_YEAR).to_integral_value("ROUND_DOWN"), "year"
    while at > finest:
        amount /= _IN_COARSER[_UNITS[at]]
        at -= 1
        unit = _UNITS[at]
        if at <= finest:
            amount = amount.to_integral_value("ROUND_DOWN")
    return amount, unit


def _shifted(parts: tuple[Part, ...], amount: Decimal, unit: str) -> tuple[Part, ...] | None:
    if unit in ("year", "month"):
        return _shifted_months(parts, int(amount) * (12 if unit == "year" else 1))
    padded: tuple[Any, ...] = (*parts, 1, 1)[:3] if len(parts) < 3 else parts
    seconds = _seconds(padded[3:]) + amount * _SECONDS[unit]
    days, rest = divmod(seconds, _SECONDS_A_DAY)
    if rest < 0:
        days, rest = days - 1, rest + _SECONDS_A_DAY
    ordinal = date(*map(int, padded[:3])).toordinal() + int(days)
    if not 1 <= ordinal <= date.max.toordinal():
        return None
    moved = date.fromordinal(ordinal)
    whole = (moved.year, moved.month, moved.day, *_clock(rest, padded[3:]))
    return whole[: len(parts)]


def _shifted_months(parts: tuple[Part, ...], months: int) -> tuple[Part, ...] | None:
    year, month, *rest = (*parts, 1) if len(parts) == 1 else parts
    year, month = divmod(int(year) * 12 + int(month) - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    if rest:
        rest[0] = min(int(rest[0]), monthrange(year, month + 1)[1])
    return (year, month + 1, *rest)[: len(parts)]


def _shifted_time(parts: tuple[Part, ...], amount: Decimal, unit: str) -> tuple[Part, ...]:
    rest = (_seconds(parts) + amount * _SECONDS[unit]) % _SECONDS_A_DAY
    return _clock(rest + _SECONDS_A_DAY if rest < 0 else rest, parts)


def _seconds(parts: tuple[Part, ...]) -> Decimal:
    sizes = (3600, 60, 1)
    return sum((Decimal(p) * s for p, s in zip(parts, sizes, strict=False)), Decimal(0))


def _clock(seconds: Decimal, like: tuple[Part, ...]) -> tuple[Part, ...]:
    """The time of day after so many seconds, with as many parts and digits as `like` has."""
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(int(minutes), 60)
    if len(like) > 2:
        digits = max(-_exponent(like[2]), -_exponent(second.normalize()), 0)
        second = second.quantize(Decimal(1).scaleb(-digits))
    return (hour, minute, second)[: len(like)]


def _exponent(value: Part) -> int:
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return exponent if isinstance(exponent, int) else 0
