"""Exact decimals with bounds: nothing overflows, nothing grows without limit (N1 section 4.1)."""

from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException

# N1 asks for 28 digits and steps of 10 to the -8; more is kept where it is exact.
_PRECISION = 60
_LARGEST_EXPONENT = 400
CONTEXT = Context(
    prec=_PRECISION, rounding=ROUND_HALF_UP, Emin=-_LARGEST_EXPONENT, Emax=_LARGEST_EXPONENT
)
_QUOTIENT = Context(prec=28, rounding=ROUND_HALF_UP)
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1

Number = int | Decimal


def whole(value: int) -> int | None:
    """`value`, or None if it is no 32-bit integer: overflow is empty (N1 section 6.6)."""
    return value if _SMALLEST <= value <= _LARGEST else None


def bounded(value: object) -> Decimal | None:
    """A number of a resource as a decimal; None for anything else and for absurd exponents."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        return None
    return number


def divided(left: Number, right: Number) -> Decimal | None:
    """`left / right` to 28 digits; None for a division by zero."""
    if right == 0:
        return None
    try:
        quotient = _QUOTIENT.divide(Decimal(left), Decimal(right))
    except DecimalException:
        return None
    return quotient.normalize(_QUOTIENT) + 0 if quotient == quotient.to_integral() else quotient


def places(value: Number) -> int:
    """How many digits stand after the decimal point."""
    if isinstance(value, int):
        return 0
    exponent = value.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def least_precise(left: Number, right: Number) -> int:
    """The places of the less precise number; trailing zeros do not count (N1 section 6.1.2)."""
    return min(_significant(left), _significant(right))


def equivalent(left: Number, right: Number) -> bool:
    """Whether both are the same when rounded to the less precise one."""
    return equal_at(least_precise(left, right), left, right)


def equal_at(decimals: int, left: Number, right: Number) -> bool:
    """Whether both are the same when rounded to so many places."""
    step = Decimal(1).scaleb(-decimals)
    try:
        return CONTEXT.quantize(Decimal(left), step) == CONTEXT.quantize(Decimal(right), step)
    except DecimalException:
        return left == right


def _significant(value: Number) -> int:
    if isinstance(value, int):
        return 0
    exponent = value.normalize(CONTEXT).as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0
