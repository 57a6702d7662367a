"""Search parameters of elements that are encrypted at rest: found by keyed hashes of whole values.

Nothing that shows a value stands in the index: no text, no date, no number, and no hash that can
be made without the tenant's key. What a resource refers to is known by type and id as ever, so
that chains, `_include` and compartments lead there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.fhirpath.compiler import compile_expression
from fhir_server.search import keys
from fhir_server.search.composites import place
from fhir_server.search.discrete import REFERENCE_MAKERS, TOKENS, inside
from fhir_server.search.emitters import extension
from fhir_server.search.entries import IndexEntries
from fhir_server.search.keys import Keyed, hash64
from fhir_server.search.ordered import STRINGS
from fhir_server.search.parameters import (
    ANY_TYPE,
    COLUMNS,
    SearchParameter,
    SearchParameters,
    link_key,
)
from fhir_server.search.sites import Emit, Maker, Site, nearest
from fhir_server.spec import Definitions

# They read whole resources, or narratives.
_WORDS = frozenset({"_content", "_text"})


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is sealed. properties: by type, JSON properties. keyed: makes their hashes."""

    properties: Mapping[str, frozenset[str]]
    keyed: Keyed


def sealed(known: SearchParameters, by: Sealed) -> SearchParameters:
    """The same parameters; those that have a value in a sealed element find it by keyed hashes."""

    def change(parameter: SearchParameter) -> SearchParameter:
        touched = touches(known, parameter, by.properties)
        return replace(parameter, keyed=by.keyed) if touched else parameter

    return known.each(change)


def touches(
    known: SearchParameters,
    parameter: SearchParameter,
    properties: Mapping[str, frozenset[str]],
) -> bool:
    """Whether a parameter shows anything of some properties of its type."""
    type_ = parameter.resource_type
    if type_ == ANY_TYPE:
        return bool(properties) and parameter.code in _WORDS
    own = properties.get(type_)
    if not own or parameter.code in COLUMNS:
        return False
    return parameter.code in _WORDS or any(head in own for head in _heads(known, parameter, own))


def _heads(
    known: SearchParameters, parameter: SearchParameter, every: Iterable[str]
) -> Iterable[str]:
    """The properties that a parameter reads; all there are if it reads the resource as such."""
    expression = parameter.expression()
    branches = expression.branches if expression else ()
    for branch in branches:
        if branch.head is not None:
            yield branch.head
        elif not (branch.is_input and parameter.type == "composite"):
            yield from every
    for component in known.components(parameter) if parameter.type == "composite" else ():
        of_resource, path = place(component)
        if of_resource or any(branch.is_input for branch in branches):
            found = compile_expression(path, parameter.resource_type).branches
            yield from (branch.head or "" for branch in found)


HIDDEN = "***"
# What may lead to any parameter.
_LEADING = frozenset({"_filter", "_query"})


def veiled(
    known: SearchParameters, type_: str, query: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """A query without the values that it has for sealed elements, or may have."""
    return [
        (name, HIDDEN if _may_tell(known, type_ or ANY_TYPE, name) else value)
        for name, value in query
    ]


def _may_tell(known: SearchParameters, type_: str, name: str) -> bool:
    code = name.partition(":")[0]
    if code == "_has" or "." in name or code in _LEADING:
        return True
    parameter = known.get(type_, code)
    if parameter is None:
        # A search of all types, or no search parameter.
        return type_ == ANY_TYPE and not code.startswith("_")
    return parameter.keyed is not None


# token


def _token(type_name: str) -> Maker:
    def make(site: Site) -> Emit:
        read, parameters = TOKENS[type_name](site), site.parameters

        def emit(value: Any, entries: IndexEntries) -> None:
            for system, code, _ in read(value):
                for text in keys.token_texts(system, code):
                    entries.keys += [parameter.key(text) for parameter in parameters]

        return emit

    return make


def _identifier(site: Site) -> Emit:
    emit_token, parameters = _token("Identifier")(site), site.parameters

    def emit(identifier: Any, entries: IndexEntries) -> None:
        emit_token(identifier, entries)
        value = identifier.get("value")
        for coding in identifier.get("type", {}).get("coding") or () if value else ():
            if coding.get("system") and coding.get("code"):
                text = keys.token_of_type(coding["system"], coding["code"], value)
                entries.keys += [parameter.key(text, "of-type") for parameter in parameters]

    return emit


# reference


def _reference(site: Site) -> Emit:
    parameters, base_url = site.parameters, site.base_url

    def emit(reference: Any, entries: IndexEntries) -> None:
        text = reference.get("reference")
        if text and (target := keys.reference_text(text, base_url) or inside(text, entries)):
            entries.keys += [link_key(parameter, target) for parameter in parameters]
            if ":" not in target:
                entries.targets.append(hash64(target))
        if identifier := reference.get("identifier"):
            for found in keys.token_texts(identifier.get("system"), identifier.get("value")):
                entries.keys += [parameter.key(found, "identifier") for parameter in parameters]

    return emit


def _canonical(site: Site) -> Emit:
    parameters, base_url = site.parameters, site.base_url

    def emit(canonical: Any, entries: IndexEntries) -> None:
        text = inside(canonical, entries) or keys.reference_text(canonical, base_url)
        for found in keys.uri_texts(text) if text else ():
            entries.keys += [link_key(parameter, found) for parameter in parameters]

    return emit


# string and uri


def _string(read: Callable[[Any], Iterable[str]]) -> Maker:
    def make(site: Site) -> Emit:
        parameters = site.parameters

        def emit(value: Any, entries: IndexEntries) -> None:
            for text in read(value):
                entries.keys += [parameter.key(text, "exact") for parameter in parameters]

        return emit

    return make


def _uri(site: Site) -> Emit:
    parameters = site.parameters

    def emit(uri: Any, entries: IndexEntries) -> None:
        for text in keys.uri_texts(uri):
            entries.keys += [parameter.key(text) for parameter in parameters]

    return emit


_MAKERS: dict[str, dict[str, Maker]] = {
    "token": {name: _token(name) for name in TOKENS} | {"Identifier": _identifier},
    "reference": {
        "Reference": _reference,
        "Resource": REFERENCE_MAKERS["Resource"],
        "uri": _canonical,
    },
    "string": {name: _string(read) for name, read in STRINGS.items()},
    "uri": {"uri": _uri},
}


def sealed_maker(kind: str, type_name: str, known: Definitions) -> Maker | None:
    """The maker for values of a type in sealed elements; None if nothing of them is entered."""
    if kind in _MAKERS and type_name == "Extension":
        return extension(kind, sealed_maker)
    return nearest(_MAKERS.get(kind, {}), type_name, known)
