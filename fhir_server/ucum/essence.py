"""The table of UCUM: its prefixes and what each unit symbol is defined as."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

ESSENCE = Path(__file__).parent / "data" / "ucum-essence.xml"

# What zero of each scale that starts elsewhere is in kelvin; the table only names the function.
_ZEROS = {
    "Cel": Fraction("273.15"),
    "[degF]": Fraction("459.67") * Fraction(5, 9),
    "[degRe]": Fraction("273.15"),
}


@dataclass(frozen=True, slots=True)
class Symbol:
    """A unit symbol: `value` times `unit`.

    unit: a UCUM code; None if the symbol is a dimension of its own: a base unit, an arbitrary unit
    (UCUM section 24), or a special one whose scale is not linear, such as `[pH]` (section 21).
    metric: whether it takes prefixes.
    offset: what zero of it is, in base units.
    """

    metric: bool
    value: Fraction = Fraction(1)
    unit: str | None = None
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Essence:
    """All of the table, by case-sensitive code."""

    prefixes: dict[str, Fraction]
    symbols: dict[str, Symbol]


@cache
def essence() -> Essence:
    """The table, read once a process when it is first needed."""
    root = ElementTree.parse(ESSENCE).getroot()
    prefixes = {
        code: Fraction(_part(element, "value").attrib["value"])
        for code, element in _each(root, "prefix")
    }
    symbols = {code: Symbol(metric=True) for code, _ in _each(root, "base-unit")}
    symbols |= {code: _symbol(code, element) for code, element in _each(root, "unit")}
    return Essence(prefixes, symbols)


def _symbol(code: str, element: ElementTree.Element) -> Symbol:
    metric = element.get("isMetric") == "yes"
    value = _part(element, "value")
    if element.get("isSpecial") == "yes":
        if code not in _ZEROS:
            return Symbol(metric)
        value = _part(value, "function")
    unit = value.attrib["Unit"]
    if element.get("isArbitrary") == "yes" and unit == "1":
        return Symbol(metric)
    return Symbol(metric, Fraction(value.attrib["value"]), unit, _ZEROS.get(code, Fraction(0)))


def _each(root: ElementTree.Element, tag: str) -> Iterator[tuple[str, ElementTree.Element]]:
    for element in root.iterfind(f"{{*}}{tag}"):
        yield element.attrib["Code"], element


def _part(element: ElementTree.Element, tag: str) -> ElementTree.Element:
    found = element.find(f"{{*}}{tag}")
    if found is None:
        raise ValueError(f"{element.attrib} of the UCUM table has no {tag}")
    return found
