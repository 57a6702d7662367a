"""UCUM units as exact multiples of the base units (ucum.org, version of the `ucumvert` package).

The grammar and the table of units come from `ucumvert`; it is imported when two different units
first meet, since that takes a third of a second.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LONGEST = 100
_LARGEST_EXPONENT = 100
# Special units that are an offset scale of kelvin: kelvin = (value + shift) * factor.
_SCALES = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67")),
    "[degRe]": (Fraction(5, 4), Fraction("273.15") / Fraction(5, 4)),
}

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """What one of a unit is: `factor` base units of `dimensions`, after adding `shift`."""

    factor: Fraction = field(default_factory=lambda: Fraction(1))
    dimensions: Dimensions = ()
    shift: Fraction = field(default_factory=Fraction)

    def times(self, other: "Unit", sign: int = 1) -> "Unit":
        """The product, or the quotient if `sign` is -1; shifts are lost, as in `Cel/s`."""
        powers = dict(self.dimensions)
        for name, power in other.dimensions:
            powers[name] = powers.get(name, 0) + sign * power
        return Unit(self.factor * other.factor**sign, _dimensions(powers))

    def to(self, exponent: int) -> "Unit":
        """The unit to an integer power."""
        powers = {name: power * exponent for name, power in self.dimensions}
        return Unit(self.factor**exponent, _dimensions(powers))


def _dimensions(powers: dict[str, int]) -> Dimensions:
    return tuple(sorted((name, power) for name, power in powers.items() if power))


class UnknownUnit(ValueError):
    """A text that is no UCUM unit, or one that is no multiple of base units, such as `[pH]`."""


@lru_cache(maxsize=4096)
def unit(code: str) -> Unit | None:
    """The meaning of a case-sensitive UCUM code; None if it is unknown or logarithmic."""
    if code in ("1", ""):
        return Unit()
    if len(code) > _LONGEST:
        return None
    try:
        return _table().parsed(code)
    except UnknownUnit:
        return None


@cache
def _table() -> "_Table":
    from ucumvert.parser import get_ucum_parser
    from ucumvert.xml_util import root

    return _Table(get_ucum_parser(), root)


class _Table:
    """All units of UCUM, worked out when they are first asked for."""

    def __init__(self, parser: Any, essence: "Element") -> None:
        self._parser = parser
        self._prefixes = {
            element.attrib["Code"]: Fraction(_value(element).attrib["value"])
            for element in essence.iterfind("{*}prefix")
        }
        self._definitions = {
            element.attrib["Code"]: element for element in essence.iterfind("{*}unit")
        }
        self._atoms = {
            code: Unit(dimensions=((code, 1),))
            for element in essence.iterfind("{*}base-unit")
            if (code := element.attrib["Code"])
        }

    def parsed(self, code: str) -> Unit:
        from lark.exceptions import LarkError

        try:
            tree = self._parser.parse(code)
        except LarkError:
            raise UnknownUnit(code) from None
        return self._meaning(tree)

    def _meaning(self, tree: Any) -> Unit:
        if isinstance(tree, str):  # an annotation, which stands for 1
            return Unit()
        rule, parts = str(tree.data), tree.children
        if rule == "simple_unit":
            return self._simple([str(part) for part in parts], parts[0].type)
        if rule == "annotatable" and len(parts) == 2:
            exponent = int(parts[1])
            if abs(exponent) > _LARGEST_EXPONENT:
                raise UnknownUnit(str(parts[1]))
            return self._meaning(parts[0]).to(exponent)
        if rule == "term":
            left, operator, right = parts
            return self._meaning(left).times(self._meaning(right), 1 if operator == "." else -1)
        if rule == "main_term" and len(parts) == 2:
            return Unit().times(self._meaning(parts[1]), -1)
        return self._meaning(parts[0])

    def _simple(self, parts: list[str], first: str) -> Unit:
        if first == "FACTOR":
            return Unit(Fraction(int(parts[0])))
        if len(parts) == 1:
            return self._atom(parts[0])
        return Unit(self._prefixes[parts[0]]).times(self._atom(parts[1]))

    def _atom(self, code: str) -> Unit:
        if code not in self._atoms:
            self._atoms[code] = self._defined(code)
        return self._atoms[code]

    def _defined(self, code: str) -> Unit:
        if code in _SCALES:
            factor, shift = _SCALES[code]
            return Unit(factor, (("K", 1),), shift)
        definition = self._definitions[code]
        value = _value(definition)
        if definition.get("isSpecial") == "yes":
            raise UnknownUnit(code)
        if definition.get("isArbitrary") == "yes" and value.attrib["Unit"] == "1":
            return Unit(dimensions=((code, 1),))
        return Unit(Fraction(value.attrib["value"])).times(self.parsed(value.attrib["Unit"]))


def _value(element: "Element") -> "Element":
    found = element.find("{*}value")
    if found is None:
        raise UnknownUnit(element.attrib["Code"])
    return found
