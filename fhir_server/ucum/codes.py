"""Reads UCUM codes (ucum.org/ucum, sections 3 to 12 and 21)."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache

from fhir_server.ucum.essence import essence
from fhir_server.ucum.unit import Unit, decimal, dimension

LONGEST = 100
# No quantity needs more; powers of powers would let a short code keep a server busy.
_LARGEST_EXPONENT = 100
_MOST_BITS = 4096

_ANNOTATION = re.compile(r"\{[!-z|~]*\}")
_FACTOR = re.compile(r"[0-9]+(?![0-9*^])")
_SYMBOL = re.compile(r"10[*^]|(?:\[[!-Z\\^-~]+\]|[A-Za-z_%'])+")
_EXPONENT = re.compile(r"[+-]?[0-9]+")


@lru_cache(maxsize=4096)
def canonical(code: str) -> Unit | None:
    """The unit of a case-sensitive code; None if it is no UCUM code.

    So are codes over 100 characters, exponents over 100 and multiples of over 1,200 digits.
    """
    if len(code) > LONGEST:
        return None
    try:
        product = _Reader(code).whole()
    except _NoUnit:
        return None
    factor = product.factor
    if max(factor.numerator.bit_length(), factor.denominator.bit_length()) > _MOST_BITS:
        return None
    return Unit(factor, dimension(product.powers), product.offset)


def convert(value: Decimal, from_code: str, to_code: str) -> Decimal | None:
    """So many of one unit in another: exact if its decimals end, otherwise to 34 digits.

    None if a code is unknown or the dimensions differ. Raises `ValueError` for what is no finite
    number, is beyond 1E1000 or has over 1,000 decimals.
    """
    source, target = canonical(from_code), canonical(to_code)
    if source is None or target is None or source.dimension != target.dimension:
        return None
    return decimal(target.from_base(source.to_base(value)))


class _NoUnit(Exception):
    """The text is no UCUM code."""


@dataclass(frozen=True, slots=True)
class _Product:
    """A unit that is being put together; `powers` are its base units and their exponents."""

    factor: Fraction = Fraction(1)
    powers: dict[str, int] = field(default_factory=dict)
    offset: Fraction = Fraction(0)

    def times(self, other: "_Product") -> "_Product":
        """The product. A scale keeps its zero in multiples only: in `J/Cel` it is a difference."""
        powers = dict(self.powers)
        for name, power in other.powers.items():
            powers[name] = powers.get(name, 0) + power
            if not powers[name]:
                del powers[name]
        zero = Fraction(0)
        if not (self.powers and other.powers):
            zero = self.offset + other.offset
        return _Product(self.factor * other.factor, powers, zero)

    def to(self, exponent: int) -> "_Product":
        if exponent == 1:
            return self
        powers = {name: power * exponent for name, power in self.powers.items()}
        return _Product(self.factor**exponent, powers)


class _Reader:
    """Reads one code from left to right; each method leaves `_at` behind what it read."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._at = 0

    def whole(self) -> _Product:
        found = self._term()
        if self._at < len(self._code):
            raise _NoUnit
        return found

    def _term(self) -> _Product:
        found = _Product()
        operator = "/" if self._skip("/") else "."
        while True:
            part = self._component()
            found = found.times(part if operator == "." else part.to(-1))
            if self._skip("."):
                operator = "."
            elif self._skip("/"):
                operator = "/"
            else:
                return found

    def _component(self) -> _Product:
        if self._match(_ANNOTATION):
            found = _Product()
        elif self._skip("("):
            found = self._term()
            if not self._skip(")"):
                raise _NoUnit
        elif digits := self._match(_FACTOR):
            found = _Product(Fraction(_not_zero(int(digits))))
        elif symbol := self._match(_SYMBOL):
            found = _symbol(symbol)
            if exponent := self._match(_EXPONENT):
                found = found.to(_exponent(exponent))
        else:
            raise _NoUnit
        self._match(_ANNOTATION)
        return found

    def _skip(self, character: str) -> bool:
        if not self._code.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._code, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]


def _exponent(digits: str) -> int:
    exponent = int(digits)
    if abs(exponent) > _LARGEST_EXPONENT:
        raise _NoUnit
    return _not_zero(exponent)


def _not_zero(number: int) -> int:
    if number == 0:
        raise _NoUnit
    return number


def _symbol(text: str) -> _Product:
    table = essence()
    if text in table.symbols:
        return _atom(text)
    for length in (1, 2):
        prefix, rest = text[:length], text[length:]
        symbol = table.symbols.get(rest)
        if symbol is not None and symbol.metric and prefix in table.prefixes:
            return _Product(table.prefixes[prefix]).times(_atom(rest))
    raise _NoUnit


@cache
def _atom(code: str) -> _Product:
    symbol = essence().symbols[code]
    if symbol.unit is None:
        return _Product(powers={code: 1})
    base = _Reader(symbol.unit).whole()
    return _Product(base.factor * symbol.value, base.powers, base.offset + symbol.offset)
