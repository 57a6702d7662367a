"""Values that are found by equality, as keys: token, reference and uri.

Every data type has a reader, which tells what a value is found by. Parameters on their own and
composite parameters both take their keys from it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.search import keys
from fhir_server.search.entries import IndexEntries
from fhir_server.search.keys import hash64, hash64_uncached
from fhir_server.search.normalize import normalize_for_index
from fhir_server.search.sites import Emit, Maker, Site

# The system, the code and the text of a token; each may be absent.
Token = tuple[str | None, str | None, str | None]
ReadTokens = Callable[[Any], Iterable[Token]]
ReadTexts = Callable[[Any], Iterable[str]]

# The keys and the vocabulary texts that enter a value.
_Entered = tuple[tuple[int, ...], tuple[tuple[int, str], ...]]


def _entered(
    parameters: tuple[int, ...], texts: Iterable[str], by_text: tuple[int, ...], text: str | None
) -> _Entered:
    found = [parameter ^ value for value in map(hash64_uncached, texts) for parameter in parameters]
    folded = normalize_for_index(text) if text else ""
    if not folded:
        return tuple(found), ()
    value = hash64_uncached(folded)
    found += [parameter ^ value for parameter in by_text]
    return tuple(found), tuple((parameter, folded) for parameter in by_text)


# token


def _token_entered(
    parameters: tuple[int, ...],
    by_text: tuple[int, ...],
    system: str | None,
    code: str | None,
    text: str | None,
) -> _Entered:
    return _entered(parameters, keys.token_texts(system, code), by_text, text)


_remembered_token = lru_cache(1 << 15)(_token_entered)


def _known_token_entered(
    parameters: tuple[int, ...],
    by_text: tuple[int, ...],
    system: str | None,
    code: str | None,
    text: str | None,
) -> _Entered:
    length = len(system or "") + len(code or "") + len(text or "")
    enter = _remembered_token if length <= keys.LONGEST_REMEMBERED else _token_entered
    return enter(parameters, by_text, system, code, text)


def _coding(_site: Site) -> ReadTokens:
    return lambda coding: ((coding.get("system"), coding.get("code"), coding.get("display")),)


def _codeable_concept(_site: Site) -> ReadTokens:
    def read(concept: Any) -> list[Token]:
        found: list[Token] = [
            (coding.get("system"), coding.get("code"), coding.get("display"))
            for coding in concept.get("coding") or ()
        ]
        if text := concept.get("text"):
            found.append((None, None, text))
        return found

    return read


def _identifier(_site: Site) -> ReadTokens:
    def read(identifier: Any) -> tuple[Token, ...]:
        text = identifier["type"].get("text") if "type" in identifier else None
        return ((identifier.get("system"), identifier.get("value"), text),)

    return read


def _code(site: Site) -> ReadTokens:
    systems = _implied_systems(site)
    return lambda code: ((systems.get(code), code, None),)


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


def _boolean(_site: Site) -> ReadTokens:
    return lambda value: ((None, "true" if value else "false", None),)


def _plain_token(_site: Site) -> ReadTokens:
    return lambda value: ((None, str(value), None),)


def _contact_point(_site: Site) -> ReadTokens:
    return lambda contact: ((None, contact.get("value"), None),)


TOKENS: dict[str, Callable[[Site], ReadTokens]] = {
    "CodeableConcept": _codeable_concept,
    "Coding": _coding,
    "ContactPoint": _contact_point,
    "Identifier": _identifier,
    "boolean": _boolean,
    "code": _code,
    "string": _plain_token,
    "uri": _plain_token,
}
_REPEATED = frozenset({"CodeableConcept", "Coding", "boolean", "code"})


def _token(type_name: str) -> Maker:
    enter = _known_token_entered if type_name in _REPEATED else _token_entered

    def make(site: Site) -> Emit:
        read, parameters, by_text = TOKENS[type_name](site), site.hashes(), site.hashes(keys.TEXT)

        def emit(value: Any, entries: IndexEntries) -> None:
            for system, code, text in read(value):
                found, texts = enter(parameters, by_text, system, code, text)
                entries.keys += found
                entries.texts += texts

        return emit

    return make


def _identifier_token(site: Site) -> Emit:
    emit_token, of_type = _token("Identifier")(site), site.hashes("of-type")

    def emit(identifier: Any, entries: IndexEntries) -> None:
        emit_token(identifier, entries)
        value = identifier.get("value")
        if value and "type" in identifier:
            for coding in identifier["type"].get("coding") or ():
                if coding.get("system") and coding.get("code"):
                    text = keys.token_of_type(coding["system"], coding["code"], value)
                    typed = hash64_uncached(text)
                    entries.keys += [parameter ^ typed for parameter in of_type]

    return emit


TOKEN_MAKERS: dict[str, Maker] = {type_name: _token(type_name) for type_name in TOKENS} | {
    "Identifier": _identifier_token
}


# reference


def _reference_texts(site: Site) -> ReadTexts:
    base_url = site.base_url

    def read(reference: Any) -> tuple[str, ...]:
        text = reference.get("reference")
        target = keys.reference_text(text, base_url) if text else ""
        return (target,) if target else ()

    return read


def _canonical_texts(site: Site) -> ReadTexts:
    base_url = site.base_url

    def read(canonical: Any) -> tuple[str, ...]:
        text = keys.reference_text(canonical, base_url)
        return keys.uri_texts(text) if text else ()

    return read


@lru_cache(1 << 14)
def _remembered_text(by_text: tuple[int, ...], text: str) -> _Entered:
    return _entered((), (), by_text, text)


def _text_entered(by_text: tuple[int, ...], text: str) -> _Entered:
    short = len(text) <= keys.LONGEST_REMEMBERED
    return _remembered_text(by_text, text) if short else _entered((), (), by_text, text)


def inside(reference: str, entries: IndexEntries) -> str:
    """What a reference within a resource is found by; empty for any other."""
    within = reference[:1] == "#" and entries.container
    return keys.contained_text(entries.container, reference) if within else ""


def _reference(site: Site) -> Emit:
    parameters, by_identifier = site.hashes(), site.hashes("identifier")
    by_text, base_url = site.hashes(keys.TEXT), site.base_url

    def emit(reference: Any, entries: IndexEntries) -> None:
        text = reference.get("reference")
        if text and (target := keys.reference_text(text, base_url) or inside(text, entries)):
            value = hash64(target)
            entries.keys += [parameter ^ value for parameter in parameters]
            if ":" not in target:
                entries.targets.append(value)
        if identifier := reference.get("identifier"):
            found, _ = _token_entered(
                by_identifier, (), identifier.get("system"), identifier.get("value"), None
            )
            entries.keys += found
        if display := reference.get("display"):
            found, texts = _text_entered(by_text, display)
            entries.keys += found
            entries.texts += texts

    return emit


def _canonical_reference(site: Site) -> Emit:
    parameters, read = site.hashes(), _canonical_texts(site)

    def emit(canonical: Any, entries: IndexEntries) -> None:
        contained = inside(canonical, entries)
        for text in (contained,) if contained else read(canonical):
            value = hash64(text)
            entries.keys += [parameter ^ value for parameter in parameters]
            if ":" not in text and "|" not in text:
                entries.targets.append(value)

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


REFERENCE_MAKERS: dict[str, Maker] = {
    "Reference": _reference,
    "Resource": _resource_reference,
    "uri": _canonical_reference,
}


# uri


def _uri_keys(parameters: tuple[int, ...], below: tuple[int, ...], uri: str) -> tuple[int, ...]:
    found = [
        parameter ^ hash64_uncached(text)
        for text in keys.uri_texts(uri)
        for parameter in parameters
    ]
    found += [
        parameter ^ hash64_uncached(text) for text in keys.uri_prefixes(uri) for parameter in below
    ]
    return tuple(found)


_remembered_uri_keys = lru_cache(1 << 13)(_uri_keys)


def _uri(site: Site) -> Emit:
    parameters, below = site.hashes(), site.hashes(keys.BELOW)

    def emit(uri: Any, entries: IndexEntries) -> None:
        keys_of = _remembered_uri_keys if len(uri) <= keys.LONGEST_REMEMBERED else _uri_keys
        entries.keys += keys_of(parameters, below, uri)

    return emit


URI_MAKERS: dict[str, Maker] = {"uri": _uri}


# components


def _token_component(tokens: Callable[[Site], ReadTokens]) -> Callable[[Site], ReadTexts]:
    def make(site: Site) -> ReadTexts:
        read = tokens(site)
        return lambda value: [
            text
            for system, code, _ in read(value)
            if code
            for text in keys.component_token_texts(system, code)
        ]

    return make


# The texts by which a component of a composite parameter is found, by kind and data type.
COMPONENTS: dict[str, dict[str, Callable[[Site], ReadTexts]]] = {
    "token": {name: _token_component(tokens) for name, tokens in TOKENS.items()},
    "reference": {"Reference": _reference_texts, "uri": _canonical_texts},
    "uri": {"uri": lambda _site: keys.uri_texts},
}
