"""Values that are found by comparison, as rows: string, date, number and quantity.

Every data type has a reader, which gives what comes after the parameter in a row. Parameters on
their own and composite parameters both take their rows from it.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from fhir_server.search import keys
from fhir_server.search.entries import IndexEntries
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.normalize import cut, normalize, normalize_for_index, windows
from fhir_server.search.sites import Emit, Maker, Site
from fhir_server.search.values import (
    DateRange,
    Instants,
    NumberRange,
    exact_number,
    quantity_range,
    range_limits,
)

# The unit as the vocabulary has it, the lowest and the highest value.
Measure = tuple[str, Decimal, Decimal]
Read = Callable[[Any], Iterable[Any]]
Enter = Callable[[Sequence[int], Iterable[Any], IndexEntries], None]


# string

_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "postalCode", "country", "text")


def _parts(names: tuple[str, ...]) -> Read:
    def read(value: Any) -> list[str]:
        found: list[str] = []
        for name in names:
            part = value.get(name)
            if isinstance(part, str):
                found.append(part)
            elif part:
                found += [text for text in part if text is not None]
        return found

    return read


def _itself(text: Any) -> tuple[str, ...]:
    return (text,)


STRINGS: dict[str, Read] = {
    "Address": _parts(_ADDRESS_PARTS),
    "HumanName": _parts(_NAME_PARTS),
    "string": _itself,
    "uri": _itself,
}


def _string(read: Read) -> Maker:
    def make(site: Site) -> Emit:
        parameters = tuple(zip(site.hashes(), site.hashes("exact"), strict=True))
        longer = site.hashes(keys.LONGER)

        def emit(value: Any, entries: IndexEntries) -> None:
            for text in read(value):
                normalised = normalize(text)
                first = cut(normalised)
                exact = hash64_uncached(text)
                for parameter, exact_parameter in parameters:
                    entries.keys.append(exact_parameter ^ exact)
                    if first:
                        entries.strings.append((parameter, first))
                for part in windows(normalised):
                    entries.strings += [(parameter, part) for parameter in longer]

        return emit

    return make


STRING_MAKERS: dict[str, Maker] = {name: _string(read) for name, read in STRINGS.items()}


def _folded(read: Read) -> Read:
    return lambda value: [folded for text in read(value) if (folded := normalize_for_index(text))]


def _enter_strings(parameters: Sequence[int], texts: Iterable[str], entries: IndexEntries) -> None:
    entries.strings += [(parameter, text) for text in texts for parameter in parameters]


# date


def _dates(range_of: Callable[[Any], DateRange | None]) -> Read:
    def read(value: Any) -> tuple[DateRange, ...]:
        limits = range_of(value)
        return () if limits is None else (limits,)

    return read


_DATES: dict[str, Callable[[Instants], Read]] = {
    "Period": lambda instants: _dates(instants.of_period),
    "Timing": lambda instants: _dates(instants.of_timing),
    "date": lambda instants: _dates(instants.of_text),
    "dateTime": lambda instants: _dates(instants.of_text),
    "instant": lambda instants: _dates(instants.of_text),
}


def _date(reader: Callable[[Instants], Read]) -> Maker:
    def make(site: Site) -> Emit:
        parameters, within, read = site.hashes(), site.hashes(keys.WITHIN), reader(site.instants)
        periods_of = site.instants.within

        def emit(value: Any, entries: IndexEntries) -> None:
            for limits in read(value):
                entries.dates += [(parameter, *limits) for parameter in parameters]
                for text in periods_of(limits):
                    period = keys.hash64(text)
                    entries.keys += [parameter ^ period for parameter in within]

        return emit

    return make


DATE_MAKERS: dict[str, Maker] = {name: _date(reader) for name, reader in _DATES.items()}


def _enter_dates(
    parameters: Sequence[int], ranges: Iterable[DateRange], entries: IndexEntries
) -> None:
    entries.dates += [(parameter, low, high) for low, high in ranges for parameter in parameters]


# number and quantity


def _measures(
    limits_of: Callable[[Any], NumberRange | None], unit_of: Callable[[Any], str]
) -> Read:
    def read(value: Any) -> tuple[Measure, ...]:
        limits = limits_of(value)
        return () if limits is None else ((unit_of(value), *limits),)

    return read


def _no_unit(_value: Any) -> str:
    return ""


def _unit(quantity: Any) -> str:
    return keys.unit_text(quantity.get("system"), quantity.get("code"), quantity.get("unit"))


def _currency(money: Any) -> str:
    currency = money.get("currency")
    return keys.unit_text(keys.CURRENCY_SYSTEM, currency, None) if currency else ""


def _unit_of_range(value: Any) -> str:
    return _unit(value.get("low") or value.get("high") or {})


# A number has no unit, not even where it stands for one end of a Range that has.
_NUMBERS: dict[str, Read] = {
    "Range": _measures(range_limits, _no_unit),
    "decimal": _measures(exact_number, _no_unit),
    "integer": _measures(exact_number, _no_unit),
}
_QUANTITIES: dict[str, Read] = {
    "Money": _measures(quantity_range, _currency),
    "Quantity": _measures(quantity_range, _unit),
    "Range": _measures(range_limits, _unit_of_range),
}


def _enter_numbers(
    parameters: Sequence[int], measures: Iterable[Measure], entries: IndexEntries
) -> None:
    for text, low, high in measures:
        unit = keys.unit_hash(text)
        if text:
            entries.texts.append((keys.UNITS, text))
        entries.numbers += [(parameter, unit, low, high) for parameter in parameters]


# rows of every kind


def _always(read: Read) -> Callable[[Instants], Read]:
    return lambda _instants: read


# How rows of each kind are read from a value of a data type, and how they are entered.
READERS: dict[str, dict[str, Callable[[Instants], Read]]] = {
    "string": {name: _always(_folded(read)) for name, read in STRINGS.items()},
    "date": _DATES,
    "number": {name: _always(read) for name, read in _NUMBERS.items()},
    "quantity": {name: _always(read) for name, read in _QUANTITIES.items()},
}
ENTER: dict[str, Enter] = {
    "string": _enter_strings,
    "date": _enter_dates,
    "number": _enter_numbers,
    "quantity": _enter_numbers,
}


def row_makers(kind: str) -> dict[str, Maker]:
    """By data type, what enters values under a parameter of `date`, `number` or `quantity`."""
    return {name: _rows(ENTER[kind], reader) for name, reader in READERS[kind].items()}


def _rows(enter: Enter, reader: Callable[[Instants], Read]) -> Maker:
    def make(site: Site) -> Emit:
        parameters, read = site.hashes(), reader(site.instants)

        def emit(value: Any, entries: IndexEntries) -> None:
            enter(parameters, read(value), entries)

        return emit

    return make


def position(site: Site) -> Emit:
    """Enters Location.position for `near` (R4 location.html#positional)."""
    latitudes, longitudes = site.hashes(keys.LATITUDE), site.hashes(keys.LONGITUDE)

    def emit(value: Any, entries: IndexEntries) -> None:
        latitude, longitude = exact_number(value["latitude"]), exact_number(value["longitude"])
        _enter_numbers(latitudes, (("", *latitude),), entries)
        _enter_numbers(longitudes, (("", *longitude),), entries)

    return emit
