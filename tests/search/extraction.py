"""What the extraction tests share: an extractor, and entries written the way people read them."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.search.extract import Extractor
from fhir_server.search.keys import hash64, key, parameter_name
from fhir_server.search.parameters import SearchParameters

BASE_URL = "https://example.org/fhir"
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9]+")
EXTRACTOR = Extractor(SearchParameters(), base_url=BASE_URL, zone=ZoneInfo("UTC"))


def resource(type_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_, **elements}


def keys_of(resource: dict[str, Any], code: str, *candidates: str) -> set[str]:
    """Those of the candidate value texts under which the resource is found by `code`.

    code: may have a modifier, as in `family:exact`.
    """
    stored = set(EXTRACTOR.extract(resource).keys)
    name = parameter_name(resource["resourceType"], *code.split(":"))
    return {text for text in candidates if key(name, text) in stored}


def strings_of(resource: dict[str, Any], code: str) -> list[str]:
    """The normalised strings entered under `code`."""
    name = hash64(parameter_name(resource["resourceType"], *code.split(":")))
    return [text for parameter, text in EXTRACTOR.extract(resource).strings if parameter == name]


def dates_of(resource: dict[str, Any], code: str) -> list[tuple[int, int]]:
    """The date ranges entered under `code`."""
    name = hash64(parameter_name(resource["resourceType"], *code.split(":")))
    return [(low, high) for p, low, high in EXTRACTOR.extract(resource).dates if p == name]


def numbers_of(resource: dict[str, Any], code: str) -> list[tuple[int, Decimal, Decimal]]:
    """The unit hashes and number ranges entered under `code`."""
    name = hash64(parameter_name(resource["resourceType"], *code.split(":")))
    numbers = EXTRACTOR.extract(resource).numbers
    return [(unit, low, high) for p, unit, low, high in numbers if p == name]


def texts_of(resource: dict[str, Any], code: str) -> list[str]:
    """What the vocabulary is given under `code`."""
    name = hash64(parameter_name(resource["resourceType"], *code.split(":")))
    return [text for parameter, text in EXTRACTOR.extract(resource).texts if parameter == name]


def targets_of(resource: dict[str, Any]) -> set[str]:
    """The references of `resource` that are noted as targets, each of them once."""
    targets = EXTRACTOR.extract(resource).targets
    candidates = {
        text
        for reference in _texts(resource)
        for text in _RELATIVE.findall(reference)
        if hash64(text) in targets
    }
    assert len(targets) == len(candidates), "something else is a target, or one of them is twice"
    return candidates


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
