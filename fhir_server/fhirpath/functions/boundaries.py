"""The least and greatest value that something of limited precision may stand for.

Later than N1, but used by expressions written for R4: `lowBoundary`, `highBoundary`, `precision`
and `comparable` (FHIRPath 3.0.0 section 5.7).
"""

from calendar import monthrange
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from fhir_server.fhirpath import quantity
from fhir_server.fhirpath.functions.registry import INTEGER, Function, Kind, scalar
from fhir_server.fhirpath.numbers import CONTEXT, places
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import FhirDate, FhirDateTime, FhirTime, Part, Temporal

_BOUNDED = Kind(
    (int, Decimal, Quantity, FhirDate, FhirDateTime, FhirTime),
    "a number, a quantity, a date or a time",
)
_QUANTITY = Kind((Quantity,), "a quantity")
_DEFAULT_PLACES, _MOST_PLACES = 8, 28
# How many digits a text has that ends with the n-th part; 17 and 9 are milliseconds.
_DATE_DIGITS = (4, 6, 8, 10, 12, 14, 17)
_TIME_DIGITS = (2, 4, 6, 9)
_WEST, _EAST = -12 * 60, 14 * 60


def _boundary(high: bool) -> Function:
    def bound(value: Any, precision: int | None = None) -> Any:
        if isinstance(value, Temporal):
            return _temporal(value, precision, high)
        if isinstance(value, Quantity):
            number = _number(value.value, precision, high)
            return None if number is None else Quantity(number, value.unit, value.calendar)
        return _number(Decimal(value), precision, high)

    return scalar(bound, _BOUNDED, INTEGER, fewest=0)


def _number(value: Decimal, precision: int | None, high: bool) -> Decimal | None:
    wanted = _DEFAULT_PLACES if precision is None else precision
    if not 0 <= wanted <= _MOST_PLACES:
        return None
    half = Decimal("0.5").scaleb(-places(value))
    edge = CONTEXT.add(value, half if high else -half)
    return edge.quantize(
        Decimal(1).scaleb(-wanted), ROUND_CEILING if high else ROUND_FLOOR, CONTEXT
    )


def _temporal(value: Temporal, precision: int | None, high: bool) -> Temporal | None:
    digits = _digits(value)
    if isinstance(value, FhirDate):
        digits = digits[:3]
    wanted = digits[-1] if precision is None else precision
    if wanted not in digits:
        return None
    count = digits.index(wanted) + 1
    parts = value.parts
    limits = _limits(value, high)
    filled: tuple[Part, ...] = tuple(
        parts[i] if i < len(parts) else limits(i, parts) for i in range(min(count, len(digits) - 1))
    )
    if isinstance(value, FhirDate):
        filled = tuple(parts[i] if i < len(parts) else limits(i, parts) for i in range(count))
    elif count == len(digits):
        filled = (*filled[:-1], _milliseconds(filled[-1], parts, len(filled), high))
    offset = value.offset
    if isinstance(value, FhirDateTime) and len(filled) > 3 and offset is None:
        offset = _WEST if high else _EAST
    return type(value)(filled, offset if len(filled) > 3 or isinstance(value, FhirTime) else None)


def _milliseconds(second: Part, parts: tuple[Part, ...], index: int, high: bool) -> Decimal:
    if len(parts) < index:
        return Decimal("59.999") if high else Decimal("0.000")
    given = Decimal(second)
    if places(given) == 0:
        return given + (Decimal("0.999") if high else Decimal("0.000"))
    return given.quantize(Decimal("0.001"), ROUND_FLOOR)


def _limits(value: Temporal, high: bool) -> Any:
    times = isinstance(value, FhirTime)

    def limit(index: int, parts: tuple[Part, ...]) -> int:
        name = index + 3 if times else index
        if not high:
            return 1 if name in (1, 2) else 0
        if name == 2:
            return monthrange(int(parts[0]), int(parts[1]) if len(parts) > 1 else 12)[1]
        return (9999, 12, 31, 23, 59, 59)[name]

    return limit


def _digits(value: Temporal) -> tuple[int, ...]:
    return _TIME_DIGITS if isinstance(value, FhirTime) else _DATE_DIGITS


def _precision(value: Any) -> int:
    if isinstance(value, Quantity):
        return places(value.value)
    if not isinstance(value, Temporal):
        return places(value)
    digits = _digits(value)
    fraction = len(value.parts) == len(digits) - 1 and places(Decimal(value.parts[-1])) > 0
    return digits[-1] if fraction else digits[len(value.parts) - 1]


FUNCTIONS = {
    "comparable": scalar(quantity.comparable, _QUANTITY, _QUANTITY),
    "highBoundary": _boundary(high=True),
    "lowBoundary": _boundary(high=False),
    "precision": scalar(_precision, _BOUNDED),
}
