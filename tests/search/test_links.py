"""What a resource refers to by its reference parameters."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.conditions import Circumstances
from fhir_server.search.links import LinkReader, Links, is_canonical
from fhir_server.search.parameters import SearchParameters
from fhir_server.spec import definitions

KNOWN = SearchParameters(definitions())
WHERE = Circumstances(
    "http://here.example/fhir", ZoneInfo("UTC"), seen_as="http://seen.example/fhir"
)


def links(resource: Any, code: str, target: str = "") -> Links:
    parameter = KNOWN.get(resource["resourceType"], code)
    assert parameter is not None
    found = Links()
    LinkReader(KNOWN, WHERE).read(resource, parameter, target, found)
    return found


def observation(reference: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "subject": {"reference": reference}}


@pytest.mark.parametrize(
    ("reference", "current", "versions"),
    [
        ("Patient/1", {("Patient", "1")}, set()),
        ("http://here.example/fhir/Patient/1", {("Patient", "1")}, set()),
        ("http://seen.example/fhir/Patient/1", {("Patient", "1")}, set()),
        ("Patient/1/_history/12", set(), {("Patient", "1", 12)}),
        ("http://seen.example/fhir/Patient/1/_history/2", set(), {("Patient", "1", 2)}),
        ("Patient/1/_history/a", set(), set()),
        ("Patient/1/_history/99999999999", set(), set()),
        ("http://here.example/fhirs/Patient/1", set(), set()),
        ("http://other.example/fhir/Patient/1", set(), set()),
        ("#inside", set(), set()),
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", set(), set()),
        ("Patient/", set(), set()),
        ("patient/1", set(), set()),
        ("", set(), set()),
        (7, set(), set()),
        (["Patient/1"], set(), set()),
    ],
)
def test_references_to_this_server_are_found(
    reference: Any, current: set[Any], versions: set[Any]
) -> None:
    found = links(observation(reference), "subject")
    assert (found.current, found.versions, found.canonicals) == (current, versions, set())


def test_a_target_type_leaves_out_others() -> None:
    assert links(observation("Group/1"), "subject", "Patient").current == set()
    assert links(observation("Patient/1"), "subject", "Patient").current == {("Patient", "1")}
    assert links(observation("Group/1"), "patient").current == set()


@pytest.mark.parametrize(
    ("canonical", "expected"),
    [
        ("http://x.example/q", {("Questionnaire", "http://x.example/q", None)}),
        ("http://x.example/q|2", {("Questionnaire", "http://x.example/q", "2")}),
        ("http://x.example/q|2#part", {("Questionnaire", "http://x.example/q", "2")}),
        ("#inside", set()),
        ("|2", set()),
    ],
)
def test_canonicals_name_urls_and_versions(canonical: str, expected: set[Any]) -> None:
    resource = {"resourceType": "QuestionnaireResponse", "questionnaire": canonical}
    assert links(resource, "questionnaire").canonicals == expected


def test_a_canonical_may_also_be_where_a_resource_is() -> None:
    url = "http://here.example/fhir/Questionnaire/q"
    resource = {"resourceType": "QuestionnaireResponse", "questionnaire": url}
    found = links(resource, "questionnaire")
    assert found.current == {("Questionnaire", "q")}
    assert found.canonicals == {("Questionnaire", url, None)}


def test_a_resource_in_a_bundle_and_one_in_an_extension_are_found() -> None:
    composition = {"resourceType": "Composition", "id": "c"}
    bundle = {"resourceType": "Bundle", "type": "document", "entry": [{"resource": composition}]}
    assert links(bundle, "composition").current == {("Composition", "c")}
    url = "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition"
    extension = {"url": url, "valueReference": {"reference": "Condition/c"}}
    report = {"resourceType": "DiagnosticReport", "extension": [extension]}
    assert links(report, "assessed-condition").current == {("Condition", "c")}


def test_canonical_parameters_are_told_from_references() -> None:
    questionnaire = KNOWN.get("QuestionnaireResponse", "questionnaire")
    subject = KNOWN.get("Observation", "subject")
    assert questionnaire is not None
    assert subject is not None
    assert (is_canonical(questionnaire), is_canonical(subject)) == (True, False)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(_JSON, st.sampled_from(["subject", "patient", "performer", "has-member", "focus"]))
def test_whatever_stands_there_is_read_or_passed_over(value: Any, code: str) -> None:
    resource = {"resourceType": "Observation", "subject": value, "performer": value, "focus": value}
    links(resource | {"hasMember": value}, code)
