"""What is found of elements that are encrypted at rest, and what is refused."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.outcome import Invalid
from fhir_server.search import keys
from fhir_server.search.conditions import Circumstances, Keys
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extract import Extractor
from fhir_server.search.keys import Keyed
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.query import parse
from fhir_server.search.sealed import Sealed, sealed, veiled

BASE = "http://test/fhir"
OFFICIAL = SearchParameters()
PROPERTIES = {
    "Condition": frozenset({"code", "text", "onsetDateTime", "onsetString", "evidence"}),
    "Coverage": frozenset({"identifier", "policyHolder", "text"}),
    "Encounter": frozenset({"diagnosis", "text"}),
    "Observation": frozenset({"valueQuantity", "component"}),
    "PlanDefinition": frozenset({"library", "url"}),
}
KNOWN = sealed(OFFICIAL, Sealed(PROPERTIES, Keyed(b"k" * 32)))
OTHER = sealed(OFFICIAL, Sealed(PROPERTIES, Keyed(b"l" * 32)))
WHERE = Circumstances(BASE, ZoneInfo("UTC"), seen_as=BASE)


def entries(resource: dict[str, Any], known: SearchParameters = KNOWN) -> IndexEntries:
    return Extractor(known, base_url=BASE, zone=ZoneInfo("UTC")).extract(resource)


def asked(type_: str, query: str, known: SearchParameters = KNOWN) -> tuple[int, ...]:
    """The keys of a search that asks for keys alone."""
    name, _, value = query.partition("=")
    condition = parse(known, type_, [(name, value)], WHERE).condition
    assert isinstance(condition, Keys), condition
    return condition.any_of


CONDITION = {
    "resourceType": "Condition",
    "id": "c",
    "code": {"coding": [{"system": "http://s", "code": "E11", "display": "Diabetes"}]},
    "onsetDateTime": "2026-03-01",
    "onsetString": "in spring",
    "subject": {"reference": "Patient/p"},
    "evidence": [{"detail": [{"reference": "Observation/o"}]}],
}
COVERAGE = {
    "resourceType": "Coverage",
    "id": "v",
    "identifier": [
        {
            "system": "http://i",
            "value": "POL-1",
            "type": {"coding": [{"system": "http://t", "code": "SN"}]},
        }
    ],
    "policyHolder": {"reference": "Patient/p", "display": "Anna", "identifier": {"value": "99"}},
    "contained": [CONDITION],
}


@pytest.mark.parametrize(
    ("resource", "query"),
    [
        (CONDITION, "code=E11"),
        (CONDITION, "code=http://s|E11"),
        (CONDITION, "code=http://s|"),
        (CONDITION, "onset-info:exact=in spring"),
        (CONDITION, "evidence-detail=Observation/o"),
        (CONDITION, "subject=Patient/p"),
        (COVERAGE, "identifier=http://i|POL-1"),
        (COVERAGE, "identifier:of-type=http://t|SN|POL-1"),
        (COVERAGE, "policy-holder=Patient/p"),
        (COVERAGE, "policy-holder:identifier=99"),
    ],
)
def test_whole_values_are_found(resource: dict[str, Any], query: str) -> None:
    found = asked(resource["resourceType"], query)
    assert set(found) & set(entries(resource).keys)


@pytest.mark.parametrize(
    ("resource", "query"),
    [
        (CONDITION, "code=E11"),
        (CONDITION, "onset-info:exact=in spring"),
        (COVERAGE, "identifier=http://i|POL-1"),
        (COVERAGE, "policy-holder:identifier=99"),
    ],
)
def test_their_keys_cannot_be_made_without_the_secret(resource: dict[str, Any], query: str) -> None:
    type_ = resource["resourceType"]
    for known in (OFFICIAL, OTHER):
        assert not set(asked(type_, query, known)) & set(entries(resource).keys)


def test_no_text_date_or_number_of_them_is_in_the_index() -> None:
    found = entries(CONDITION)
    assert (found.strings, found.dates, found.numbers) == ([], [], [])
    assert not any("diabetes" in text for _, text in found.texts)
    quantity = {
        "resourceType": "Observation",
        "valueQuantity": {"value": 7, "unit": "mmol/L"},
        "code": {"text": "Glucose"},
    }
    found = entries(quantity)
    assert found.numbers == []
    assert keys.UNITS not in {name for name, _ in found.texts}
    assert any(text == "glucose" for _, text in found.texts)


def test_a_contained_resource_is_found_by_keyed_hashes_too() -> None:
    (inner,) = entries(COVERAGE).contained
    assert set(asked("Condition", "code=E11")) <= set(inner.keys)
    assert not set(asked("Condition", "code=E11", OFFICIAL)) & set(inner.keys)


def test_what_is_referred_to_is_known_as_ever() -> None:
    assert set(entries(CONDITION, OFFICIAL).targets) == set(entries(CONDITION).targets)


def test_a_parameter_of_other_elements_is_as_ever() -> None:
    for type_, code in (("Condition", "clinical-status"), ("Patient", "name"), ("Goal", "_text")):
        assert KNOWN.get(type_, code) == OFFICIAL.get(type_, code)


@pytest.mark.parametrize(
    ("type_", "name", "value", "problem"),
    [
        ("Condition", "code:text", "diab", "can only be found as a whole"),
        ("Condition", "onset-info", "in", "expected onset-info"),
        ("Condition", "onset-info:contains", "in", "as a whole"),
        ("Condition", "onset-date", "ge2026", "as a whole; expected onset-date:missing"),
        ("Condition", "_sort", "onset-date", "no order"),
        ("Condition", "_sort", "code", "no order"),
        ("Condition", "_text", "diabetes", "would read elements that are encrypted"),
        ("Condition", "_content", "diabetes", "would read elements that are encrypted"),
        ("", "_content", "diabetes", "would read elements that are encrypted"),
        ("Condition", "_filter", 'onset-info co "in"', "co does not do that"),
        ("Observation", "value-quantity", "7", "as a whole"),
        ("Observation", "component-code-value-quantity", "a$7", "would read elements"),
        ("Observation", "code-value-quantity", "a$7", "would read elements"),
        ("Patient", "_has:Condition:subject:onset-info", "in", "as a whole"),
        ("Encounter", "diagnosis:Condition.code:text", "diab", "as a whole"),
        ("PlanDefinition", "url:below", "http://a", "as a whole"),
        ("PlanDefinition", "depends-on:Library.name", "x", "cannot be followed"),
    ],
)
def test_what_needs_more_than_whole_values_is_refused_by_name(
    type_: str, name: str, value: str, problem: str
) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        parse(KNOWN, type_, [(name, value)], WHERE)
    assert name.partition(":")[0].partition(".")[0] in str(refused.value)


@pytest.mark.parametrize(
    ("type_", "name", "value"),
    [
        ("Encounter", "diagnosis:Condition.code", "E11"),
        ("Condition", "_has:Encounter:diagnosis:status", "finished"),
        ("Encounter", "_include", "Encounter:diagnosis"),
        ("Condition", "_revinclude", "Encounter:diagnosis"),
        ("Condition", "onset-date:missing", "true"),
        ("Condition", "code:not", "E11"),
        ("Condition", "_filter", "code eq E11"),
    ],
)
def test_what_needs_whole_values_or_links_only_is_understood(
    type_: str, name: str, value: str
) -> None:
    parse(KNOWN, type_, [(name, value)], WHERE)


@pytest.mark.parametrize(
    ("type_", "query", "shown"),
    [
        ("Condition", ("code", "E11"), "***"),
        ("Condition", ("code:not", "E11"), "***"),
        ("Condition", ("clinical-status", "active"), "active"),
        ("Condition", ("_count", "5"), "5"),
        ("Condition", ("_filter", "code eq E11"), "***"),
        ("Encounter", ("diagnosis:Condition.code", "E11"), "***"),
        ("Patient", ("_has:Condition:subject:code", "E11"), "***"),
        ("Patient", ("name", "anna"), "anna"),
        ("", ("code", "E11"), "***"),
        ("", ("_id", "a"), "a"),
    ],
)
def test_a_query_can_be_told_of_without_such_values(
    type_: str, query: tuple[str, str], shown: str
) -> None:
    assert veiled(KNOWN, type_, [query]) == [(query[0], shown)]
