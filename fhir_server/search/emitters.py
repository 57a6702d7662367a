"""How a value of each data type is entered into the index, by kind of search parameter.

`EMITTERS` is the table of R4 search.html#table, one function a cell: given the parameters that find
values of one branch, it makes the function that enters such a value for all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath.branches import Branch
from fhir_server.search import keys
from fhir_server.search.entries import IndexEntries
from fhir_server.search.keys import hash64, hash64_uncached, parameter_name
from fhir_server.search.normalize import normalize_for_index
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.values import (
    Instants,
    NumberRange,
    exact_number,
    quantity_range,
    range_limits,
)
from fhir_server.spec import Definitions

Emit = Callable[[Any, IndexEntries], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Where values come from and what they are entered for.

    base_url: this server's own, without a slash at the end.
    """

    branch: Branch
    parameters: Sequence[SearchParameter]
    base_url: str
    instants: Instants
    definitions: Definitions

    def hashes(self, modifier: str = "") -> tuple[int, ...]:
        """The hash of each parameter, or of its form with a modifier."""
        return tuple(
            hash64(parameter_name(parameter.resource_type, parameter.code, modifier))
            for parameter in self.parameters
        )


Maker = Callable[[Site], Emit]


@lru_cache(1 << 14)
def _coding_hashes(system: str | None, code: str | None) -> tuple[int, ...]:
    return tuple(map(hash64_uncached, keys.token_texts(system, code)))


def _add_keys(entries: IndexEntries, parameters: Iterable[int], values: Iterable[int]) -> None:
    entries.keys += [parameter ^ value for value in values for parameter in parameters]


# token


def _coding(site: Site) -> Emit:
    hashes = site.hashes()

    def emit(coding: Any, entries: IndexEntries) -> None:
        values = _coding_hashes(coding.get("system"), coding.get("code"))
        entries.keys += [parameter ^ value for value in values for parameter in hashes]

    return emit


def _codeable_concept(site: Site) -> Emit:
    emit_coding = _coding(site)

    def emit(concept: Any, entries: IndexEntries) -> None:
        for coding in concept.get("coding") or ():
            emit_coding(coding, entries)

    return emit


def _identifier_token(site: Site) -> Emit:
    hashes, of_type = site.hashes(), site.hashes("of-type")

    def emit(identifier: Any, entries: IndexEntries) -> None:
        value = identifier.get("value")
        texts = keys.token_texts(identifier.get("system"), value)
        _add_keys(entries, hashes, map(hash64_uncached, texts))
        if value and "type" in identifier:
            for coding in identifier["type"].get("coding") or ():
                if coding.get("system") and coding.get("code"):
                    text = keys.token_of_type(coding["system"], coding["code"], value)
                    _add_keys(entries, of_type, (hash64_uncached(text),))

    return emit


def _code(site: Site) -> Emit:
    systems = _implied_systems(site)
    hashes = site.hashes()

    def emit(code: Any, entries: IndexEntries) -> None:
        values = _coding_hashes(systems.get(code), code)
        entries.keys += [parameter ^ value for value in values for parameter in hashes]

    return emit


def _implied_systems(site: Site) -> dict[str, str]:
    """The system of each code of a required binding, where the code is in one system only."""
    binding = site.branch.element.binding if site.branch.element else None
    if binding is None or binding.strength != "required":
        return {}
    systems: Mapping[str, frozenset[str]] = (
        site.definitions.codes_by_system(binding.value_set) or {}
    )
    found: dict[str, list[str]] = {}
    for system, codes in systems.items():
        for code in codes:
            found.setdefault(code, []).append(system)
    return {code: owners[0] for code, owners in found.items() if len(owners) == 1}


def _boolean(site: Site) -> Emit:
    hashes = site.hashes()

    def emit(value: Any, entries: IndexEntries) -> None:
        _add_keys(entries, hashes, _coding_hashes(None, "true" if value else "false"))

    return emit


def _plain_token(site: Site) -> Emit:
    hashes = site.hashes()

    def emit(value: Any, entries: IndexEntries) -> None:
        _add_keys(entries, hashes, map(hash64_uncached, keys.token_texts(None, str(value))))

    return emit


def _contact_point(site: Site) -> Emit:
    emit_value = _plain_token(site)

    def emit(contact: Any, entries: IndexEntries) -> None:
        if value := contact.get("value"):
            emit_value(value, entries)

    return emit


# reference


def _reference(site: Site) -> Emit:
    hashes, by_identifier = site.hashes(), site.hashes("identifier")
    base_url = site.base_url

    def emit(reference: Any, entries: IndexEntries) -> None:
        text = reference.get("reference")
        if text and (target := keys.reference_text(text, base_url)):
            value = hash64(target)
            entries.keys += [parameter ^ value for parameter in hashes]
        if identifier := reference.get("identifier"):
            texts = keys.token_texts(identifier.get("system"), identifier.get("value"))
            _add_keys(entries, by_identifier, map(hash64_uncached, texts))

    return emit


def _canonical_reference(site: Site) -> Emit:
    hashes, base_url = site.hashes(), site.base_url

    def emit(canonical: Any, entries: IndexEntries) -> None:
        if text := keys.reference_text(canonical, base_url):
            _add_keys(entries, hashes, map(hash64, keys.uri_texts(text)))

    return emit


def _resource_reference(site: Site) -> Emit:
    parameters = tuple(zip(site.hashes(), site.parameters, strict=True))

    def emit(resource: Any, entries: IndexEntries) -> None:
        type_, identity = resource.get("resourceType"), resource.get("id")
        if type_ and identity:
            value = hash64_uncached(f"{type_}/{identity}")
            entries.keys += [
                name ^ value for name, parameter in parameters if type_ in parameter.targets
            ]

    return emit


# uri


def _uri(site: Site) -> Emit:
    hashes = site.hashes()

    def emit(uri: Any, entries: IndexEntries) -> None:
        _add_keys(entries, hashes, map(hash64, keys.uri_texts(uri)))

    return emit


# string


def _string(site: Site) -> Emit:
    hashes = tuple(zip(site.hashes(), site.hashes("exact"), strict=True))

    def emit(text: Any, entries: IndexEntries) -> None:
        normalised = normalize_for_index(text)
        exact = hash64_uncached(text)
        for parameter, exact_parameter in hashes:
            entries.keys.append(exact_parameter ^ exact)
            if normalised:
                entries.strings.append((parameter, normalised))

    return emit


_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "postalCode", "country", "text")


def _parts(names: tuple[str, ...]) -> Maker:
    def make(site: Site) -> Emit:
        emit_text = _string(site)

        def emit(value: Any, entries: IndexEntries) -> None:
            for name in names:
                part = value.get(name)
                for text in (part,) if isinstance(part, str) else part or ():
                    if text is not None:
                        emit_text(text, entries)

        return emit

    return make


# date


def _date(read: Callable[[Instants], Callable[[Any], tuple[int, int] | None]]) -> Maker:
    def make(site: Site) -> Emit:
        hashes, range_of = site.hashes(), read(site.instants)

        def emit(value: Any, entries: IndexEntries) -> None:
            limits = range_of(value)
            if limits is not None:
                entries.dates += [(parameter, *limits) for parameter in hashes]

        return emit

    return make


# number and quantity


def _measured(
    limits_of: Callable[[Any], NumberRange | None], units_of: Callable[[Any], Iterable[int]]
) -> Maker:
    def make(site: Site) -> Emit:
        hashes = site.hashes()

        def emit(value: Any, entries: IndexEntries) -> None:
            limits = limits_of(value)
            if limits is not None:
                entries.numbers += [
                    (parameter, unit, *limits) for unit in units_of(value) for parameter in hashes
                ]

        return emit

    return make


def _no_units(_value: Any) -> Iterable[int]:
    return (keys.NO_UNIT,)


def _units(quantity: Any) -> Iterable[int]:
    return keys.unit_hashes(quantity.get("system"), quantity.get("code"), quantity.get("unit"))


def _currency(money: Any) -> Iterable[int]:
    return keys.unit_hashes(keys.CURRENCY_SYSTEM, money.get("currency"), None)


def _units_of_range(value: Any) -> Iterable[int]:
    return _units(value.get("low") or value.get("high") or {})


def _extension(kind: str) -> Maker:
    """Values of an extension: entered as what they are, if the kind of parameter has a way."""

    def make(site: Site) -> Emit:
        value = site.definitions.types["Extension"].elements["value"]
        emitters = {}
        for type_ in value.types:
            maker = maker_for(kind, type_.code, site.definitions)
            if maker is not None:
                emitters["value" + type_.code[0].upper() + type_.code[1:]] = maker(site)

        def emit(extension: Any, entries: IndexEntries) -> None:
            for name, content in extension.items():
                if name in emitters:
                    emitters[name](content, entries)

        return emit

    return make


EMITTERS: dict[str, dict[str, Maker]] = {
    "token": {
        "CodeableConcept": _codeable_concept,
        "Coding": _coding,
        "ContactPoint": _contact_point,
        "Extension": _extension("token"),
        "Identifier": _identifier_token,
        "boolean": _boolean,
        "code": _code,
        "string": _plain_token,
        "uri": _plain_token,
    },
    "reference": {
        "Extension": _extension("reference"),
        "Reference": _reference,
        "Resource": _resource_reference,
        "uri": _canonical_reference,
    },
    "uri": {"Extension": _extension("uri"), "uri": _uri},
    "string": {
        "Address": _parts(_ADDRESS_PARTS),
        "Extension": _extension("string"),
        "HumanName": _parts(_NAME_PARTS),
        "string": _string,
        "uri": _string,
    },
    "date": {
        "Extension": _extension("date"),
        "Period": _date(lambda instants: instants.of_period),
        "Timing": _date(lambda instants: instants.of_timing),
        "date": _date(lambda instants: instants.of_text),
        "dateTime": _date(lambda instants: instants.of_text),
        "instant": _date(lambda instants: instants.of_text),
    },
    "number": {
        "Extension": _extension("number"),
        "Range": _measured(range_limits, _units_of_range),
        "decimal": _measured(exact_number, _no_units),
        "integer": _measured(exact_number, _no_units),
    },
    "quantity": {
        "Extension": _extension("quantity"),
        "Money": _measured(quantity_range, _currency),
        "Quantity": _measured(quantity_range, _units),
        "Range": _measured(range_limits, _units_of_range),
    },
}


def maker_for(kind: str, type_name: str, known: Definitions) -> Maker | None:
    """The maker for values of a type, or of the nearest type it derives from; None if none."""
    makers = EMITTERS.get(kind, {})
    name: str | None = type_name
    while name is not None and name not in makers:
        definition = known.types.get(name)
        name = definition.base if definition else None
    return makers[name] if name is not None else None
