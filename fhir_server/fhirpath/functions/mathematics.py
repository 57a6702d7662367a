"""Mathematics (N1 section 5.7)."""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Any

from fhir_server.fhirpath.functions.registry import INTEGER, NUMBER, Kind, scalar
from fhir_server.fhirpath.numbers import CONTEXT, Number, whole
from fhir_server.fhirpath.quantity import Quantity

_NUMBER_OR_QUANTITY = Kind((int, Decimal, Quantity), "a number or a quantity")
# Logarithms and roots are irrational: the digits that N1 asks for.
_IRRATIONAL = Context(prec=28, rounding=ROUND_HALF_UP, Emin=-400, Emax=400)
_MOST_PLACES = 28
_LARGEST_POWER = 10_000


def _abs(value: Any) -> Any:
    if value.__class__ is Quantity:
        return Quantity(CONTEXT.abs(value.value), value.unit, value.calendar)
    return whole(abs(value)) if value.__class__ is int else CONTEXT.abs(value)


def _integral(rounding: str) -> Any:
    def rounded(value: Number) -> int | None:
        return whole(int(Decimal(value).to_integral_value(rounding)))

    return rounded


def _round(value: Number, places: int = 0) -> Any:
    if places < 0:
        raise ValueError(f"round() takes a precision that is not negative, but found {places}")
    if places > _MOST_PLACES or value.__class__ is int:
        return Decimal(value)
    return CONTEXT.quantize(Decimal(value), Decimal(1).scaleb(-places))


def _exp(value: Number) -> Decimal:
    return _IRRATIONAL.exp(Decimal(value))


def _ln(value: Number) -> Decimal | None:
    return _IRRATIONAL.ln(Decimal(value)) if value > 0 else None


def _log(value: Number, base: Number) -> Decimal | None:
    if value <= 0 or base <= 0 or base == 1:
        return None
    found = _IRRATIONAL.divide(_IRRATIONAL.ln(Decimal(value)), _IRRATIONAL.ln(Decimal(base)))
    # A power of the base has a whole logarithm, whatever the last digit says.
    nearest = found.to_integral_value(ROUND_HALF_UP)
    close = abs(found - nearest) < Decimal("1e-20")
    return nearest if close else found


def _power(value: Number, exponent: Number) -> Number | None:
    if value.__class__ is int and exponent.__class__ is int and exponent >= 0:
        if abs(value) > 1 and exponent > 31:
            return None
        return whole(int(value) ** int(exponent))
    base, power = Decimal(value), Decimal(exponent)
    if base == 0:
        return None if power < 0 else Decimal(power == 0)
    if base < 0 and power != power.to_integral_value():
        return None
    if abs(power) > _LARGEST_POWER:
        return None
    return CONTEXT.power(base, power).normalize(CONTEXT)


def _sqrt(value: Number) -> Decimal | None:
    return _IRRATIONAL.sqrt(Decimal(value)) if value >= 0 else None


FUNCTIONS = {
    "abs": scalar(_abs, _NUMBER_OR_QUANTITY),
    "ceiling": scalar(_integral(ROUND_CEILING), NUMBER),
    "exp": scalar(_exp, NUMBER),
    "floor": scalar(_integral(ROUND_FLOOR), NUMBER),
    "ln": scalar(_ln, NUMBER),
    "log": scalar(_log, NUMBER, NUMBER),
    "power": scalar(_power, NUMBER, NUMBER),
    "round": scalar(_round, NUMBER, INTEGER, fewest=0),
    "sqrt": scalar(_sqrt, NUMBER),
    "truncate": scalar(_integral(ROUND_DOWN), NUMBER),
}
