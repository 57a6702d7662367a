"""What the extraction tests share: an extractor, and entries written the way people read them."""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.search.extract import Extractor
from fhir_server.search.keys import hash64, key, parameter_name
from fhir_server.search.parameters import SearchParameters

BASE_URL = "https://example.org/fhir"
EXTRACTOR = Extractor(SearchParameters(), base_url=BASE_URL, zone=ZoneInfo("UTC"))


def keys_of(resource: dict[str, Any], code: str, *candidates: str) -> set[str]:
    """Those of the candidate value texts under which the resource is found by `code`.

    code: may have a modifier, as in `family:exact`.
    """
    stored = set(EXTRACTOR.extract(resource).keys)
    name = parameter_name(resource["resourceType"], *code.split(":"))
    return {text for text in candidates if key(name, text) in stored}


def strings_of(resource: dict[str, Any], code: str) -> list[str]:
    """The normalised strings entered under `code`."""
    name = hash64(parameter_name(resource["resourceType"], code))
    return [text for parameter, text in EXTRACTOR.extract(resource).strings if parameter == name]


def dates_of(resource: dict[str, Any], code: str) -> list[tuple[int, int]]:
    """The date ranges entered under `code`."""
    name = hash64(parameter_name(resource["resourceType"], code))
    return [(low, high) for p, low, high in EXTRACTOR.extract(resource).dates if p == name]


def numbers_of(resource: dict[str, Any], code: str) -> list[tuple[int, Decimal, Decimal]]:
    """The unit hashes and number ranges entered under `code`."""
    name = hash64(parameter_name(resource["resourceType"], code))
    numbers = EXTRACTOR.extract(resource).numbers
    return [(unit, low, high) for p, unit, low, high in numbers if p == name]
