"""What a unit is, apart from how it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

DIMENSIONLESS = "1"

# Wide enough for the longest value in the largest unit, so that only what never ends is rounded.
_EXACT = Context(prec=10_000, Emin=-20_000, Emax=20_000)
_ROUNDED = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-20_000, Emax=20_000)
_LARGEST_EXPONENT = 1000


@dataclass(frozen=True, slots=True)
class Unit:
    """What one of a unit is in base units: `base = value * factor + offset`.

    dimension: the base units with their exponents, such as `g.m-3`; the same text for all units
    that can be converted into each other, and a UCUM code itself.
    offset: what zero of the unit is; only temperatures have one.
    """

    factor: Fraction = Fraction(1)
    dimension: str = DIMENSIONLESS
    offset: Fraction = Fraction(0)

    def to_base(self, value: Decimal) -> Fraction:
        """So many of this unit, in base units.

        Raises `ValueError` for what is no finite number, is over 1E1000 or has over 1,000 decimals.
        """
        return _fraction(value) * self.factor + self.offset

    def from_base(self, value: Fraction) -> Fraction:
        """So many base units, in this unit."""
        return (value - self.offset) / self.factor


def decimal(value: Fraction) -> Decimal:
    """The number, exact if its decimals end, otherwise rounded to 34 digits."""
    numerator, denominator = value.numerator, value.denominator
    rest, twos = _without(denominator, 2)
    rest, fives = _without(rest, 5)
    if rest != 1:
        return _ROUNDED.divide(Decimal(numerator), Decimal(denominator))
    places = max(twos, fives)
    digits = numerator * 2 ** (places - twos) * 5 ** (places - fives)
    return _EXACT.scaleb(Decimal(digits), -places)


def dimension(powers: Mapping[str, int]) -> str:
    """The text of base units and their exponents, in one order."""
    parts = (f"{name}{power if power != 1 else ''}" for name, power in sorted(powers.items()))
    return ".".join(parts) or DIMENSIONLESS


def _fraction(value: Decimal) -> Fraction:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a number")
    # Fractions write an exponent out as digits.
    if exponent < -_LARGEST_EXPONENT or value.adjusted() > _LARGEST_EXPONENT:
        raise ValueError(f"a number with the exponent {exponent} is too long to be converted")
    return Fraction(value)


def _without(number: int, prime: int) -> tuple[int, int]:
    count = 0
    while number % prime == 0:
        number //= prime
        count += 1
    return number, count
