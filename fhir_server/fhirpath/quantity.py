"""Quantities: a number with a UCUM unit or a calendar duration (N1 sections 4.1.8 and 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from fhir_server.fhirpath.numbers import CONTEXT, bounded, divided, equal_at, least_precise
from fhir_server.ucum import Unit, canonical

UCUM = "http://unitsofmeasure.org"
CALENDAR = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR_UNITS = {name: unit for unit in CALENDAR for name in (unit, unit + "s")}
_UCUM_OF_CALENDAR = dict(zip(CALENDAR, ("a", "mo", "wk", "d", "h", "min", "s", "ms"), strict=True))
CALENDAR_OF_UCUM = {code: name for name, code in _UCUM_OF_CALENDAR.items()}
# A calendar year or month has no fixed length, so only these equal their UCUM unit.
_FIXED = frozenset(("week", "day", "hour", "minute", "second", "millisecond"))
_VARIABLE_MONTHS = {"year": 12, "month": 1}


@dataclass(frozen=True, slots=True)
class Quantity:
    """`4 days` (calendar, unit in the singular) or `4 'mg'` (a UCUM unit)."""

    value: Decimal
    unit: str = "1"
    calendar: bool = False

    def __str__(self) -> str:
        if not self.calendar:
            return f"{self.value} '{self.unit}'"
        return f"{self.value} {self.unit}" + ("" if self.value == 1 else "s")


def quantity(value: Decimal | int, unit: str) -> Quantity:
    """A quantity of a UCUM unit or of a calendar unit by its singular or plural name."""
    if unit in CALENDAR_UNITS:
        return Quantity(Decimal(value), CALENDAR_UNITS[unit], calendar=True)
    return Quantity(Decimal(value), unit)


def from_fhir(value: Any) -> Quantity | None:
    """The number and unit of a FHIR Quantity (R4 fhirpath.html#quantity).

    None without a number or with a comparator, which makes it a range.
    """
    if not isinstance(value, Mapping) or value.get("comparator") is not None:
        return None
    number = bounded(value.get("value"))
    if number is None:
        return None
    code, unit = value.get("code"), value.get("unit")
    if value.get("system") == UCUM and isinstance(code, str):
        if code in ("a", "mo"):
            return Quantity(Decimal(number), CALENDAR_OF_UCUM[code], calendar=True)
        return Quantity(Decimal(number), code)
    text = code if isinstance(code, str) else unit
    return Quantity(Decimal(number), text if isinstance(text, str) else "1")


def comparable(left: Quantity, right: Quantity) -> bool:
    """Whether both measure the same thing."""
    return _same_scale(left, right) is not None


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1; None if the units cannot be compared (N1 section 6.2)."""
    if left.unit == right.unit and left.calendar == right.calendar:
        return _sign(left.value, right.value)
    scale = _same_scale(left, right)
    if scale is None:
        return None
    return _sign(scale[0].to_base(left.value), scale[1].to_base(right.value))


def equal(left: Quantity, right: Quantity) -> bool | None:
    """`=`: None if a calendar year or month meets a defined duration (N1 section 6.1.1)."""
    if left.calendar != right.calendar and _variable(left) | _variable(right):
        return None if _same_dimensions(left, right) else False
    order = compare(left, right)
    return False if order is None else order == 0


def identity(value: Quantity) -> tuple[object, ...]:
    """What two quantities share exactly if they are equal."""
    if _variable(value):
        return ("calendar", value.value * _VARIABLE_MONTHS[value.unit])
    unit = _unit(value)
    if unit is None:
        return ("unit", value.unit, value.value)
    return ("quantity", unit.dimension, unit.to_base(value.value))


def equivalent(left: Quantity, right: Quantity) -> bool:
    """`~`: to the precision of the less precise one, years and months as UCUM defines them."""
    if left.unit == right.unit:
        ours, theirs = left.value, right.value
    else:
        scales = _unit(left), _unit(right)
        if scales[0] is None or scales[1] is None or scales[0].dimension != scales[1].dimension:
            return False
        ours = left.value
        theirs = _converted(right.value, scales[1], scales[0])
    return equal_at(least_precise(left.value, right.value), ours, theirs)


def add(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """The sum, or the difference if `sign` is -1, in the finer unit; None if they do not match."""
    if left.unit == right.unit and left.calendar == right.calendar:
        return Quantity(_sum(left.value, sign * right.value), left.unit, left.calendar)
    scale = _same_scale(left, right)
    if scale is None:
        return None
    ours, theirs = scale
    if ours.factor > theirs.factor:
        total = _sum(_converted(left.value, ours, theirs), sign * right.value)
        return Quantity(total, right.unit, right.calendar)
    total = _sum(left.value, sign * _converted(right.value, theirs, ours))
    return Quantity(total, left.unit, left.calendar)


def _sum(left: Decimal, right: Decimal) -> Decimal:
    return CONTEXT.add(left, right)


def converted(value: Quantity, unit: str) -> Quantity | None:
    """The same quantity in another unit; None if it cannot be given in it."""
    target = quantity(0, unit)
    if (target.unit, target.calendar) == (value.unit, value.calendar):
        return value
    scale = _same_scale(value, target)
    if scale is None:
        return None
    return Quantity(_converted(value.value, *scale), target.unit, target.calendar)


def multiply(left: Quantity, right: Quantity) -> Quantity:
    """The product; units are joined as UCUM writes it."""
    ours, theirs = _code(left), _code(right)
    unit = theirs if ours == "1" else ours if theirs == "1" else f"{ours}.{_term(theirs)}"
    return Quantity(CONTEXT.multiply(left.value, right.value), unit)


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    """The quotient; None for a division by zero."""
    value = divided(left.value, right.value)
    if value is None:
        return None
    ours, theirs = _code(left), _code(right)
    if ours == theirs:
        return Quantity(value)
    return Quantity(value, ours if theirs == "1" else f"{ours}/{_term(theirs)}")


def _term(code: str) -> str:
    return f"({code})" if "/" in code or "." in code else code


def _code(value: Quantity) -> str:
    return _UCUM_OF_CALENDAR[value.unit] if value.calendar else value.unit


def _unit(value: Quantity) -> Unit | None:
    return canonical(_code(value))


def _variable(value: Quantity) -> bool:
    return value.calendar and value.unit not in _FIXED


def _same_dimensions(left: Quantity, right: Quantity) -> bool:
    ours, theirs = _unit(left), _unit(right)
    return ours is not None and theirs is not None and ours.dimension == theirs.dimension


def _same_scale(left: Quantity, right: Quantity) -> tuple[Unit, Unit] | None:
    if _variable(left) or _variable(right):
        months = _VARIABLE_MONTHS.get(left.unit), _VARIABLE_MONTHS.get(right.unit)
        if not (left.calendar and right.calendar) or None in months:
            return None
        return Unit(Fraction(months[0] or 1)), Unit(Fraction(months[1] or 1))
    ours, theirs = _unit(left), _unit(right)
    if ours is None or theirs is None or ours.dimension != theirs.dimension:
        return None
    return ours, theirs


def _converted(value: Decimal, source: Unit, target: Unit) -> Decimal:
    converted = target.from_base(source.to_base(value))
    found = divided(Decimal(converted.numerator), Decimal(converted.denominator))
    return found if found is not None else value


def _sign(left: Decimal | Fraction, right: Decimal | Fraction) -> int:
    return int(left > right) - int(left < right)
