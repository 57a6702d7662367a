"""A first look settles only resources in which the full walk finds nothing wrong."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath.nodes import root_node
from fhir_server.spec import definitions
from fhir_server.validation.profiles.base_rules import BaseRules
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.run import Run, Settings
from fhir_server.validation.structure import StructureCheck
from tests.validation.profiles.random_objects import objects

Json = dict[str, Any]

PROFILES = Profiles(lambda _: None, definitions())
RULES = BaseRules(definitions(), codes=PROFILES.at_once)
STRUCTURE = StructureCheck(definitions())
CURRENCY = {"value": 1, "currency": "EUR"}


def broken(resource: Json) -> set[str]:
    """The rules that the full walk finds broken."""
    run = Run(PROFILES, Settings(warnings=False), {}, None)
    root = root_node(resource)
    assert root is not None
    RULES.check(root, run)
    return {each.rule for each in run.errors}


@pytest.mark.parametrize(
    "name",
    ["Patient", "Observation", "Condition", "Claim", "Bundle", "Questionnaire", "Appointment",
     "MedicationRequest", "ValueSet", "StructureDefinition", "Organization", "Parameters"],
)  # fmt: skip
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_is_settled_breaks_no_rule(name: str, data: st.DataObject) -> None:
    resource = {"resourceType": name} | data.draw(objects(name, 3))
    if RULES.settled(resource):
        # These are about texts that the structure check has looked at.
        assert broken(resource) <= {"targetProfile", "ref-1"}


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}} | more


SETTLED = [
    observation(subject={"reference": "Patient/a"}, encounter={"reference": "urn:uuid:1"}),
    observation(subject={"reference": "#p"}, contained=[{"resourceType": "Patient", "id": "p"}]),
    observation(effectivePeriod={"start": "2024-01-01", "end": "2024-01-02"}),
    {"resourceType": "Claim", "total": CURRENCY},
    {"resourceType": "Organization", "name": "x"},
    {
        "resourceType": "Condition",
        "abatementDateTime": "2024",
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                    "code": "resolved",
                }
            ]
        },
    },
    {"resourceType": "Binary", "contentType": "text/plain"},
]


@pytest.mark.parametrize("resource", SETTLED, ids=lambda each: each["resourceType"])
def test_a_usual_resource_is_settled(resource: Json) -> None:
    assert RULES.settled(resource)
    assert not broken(resource)


WRONG = [
    (observation(subject={"reference": "#o"},
                 contained=[{"resourceType": "Organization", "id": "o", "name": "x"}]),
     "targetProfile"),
    (observation(subject={"type": "Organization", "display": "x"}), "targetProfile"),
    (observation(subject={"reference": "http://elsewhere.example/Organization/a"}),
     "targetProfile"),
    (observation(contained=[{"resourceType": "Patient", "id": "p"}]), "dom-3"),
    ({"resourceType": "Patient", "name": [{"given": ["A", "B"]}],
      "contained": [{"resourceType": "Patient", "id": "p"}]}, "dom-3"),
    (observation(subject={"reference": "#p"}, contained=[
        {"resourceType": "Patient", "id": "p", "contact": [{"gender": "male"}]}]), "pat-1"),
    (observation(extension=[{"url": "http://example.org/x",
                             "valuePeriod": {"start": "2024", "end": "2023"}}]), "per-1"),
    (observation(_status={"extension": [
        {"url": "http://example.org/x", "valuePeriod": {"start": "2024", "end": "2023"}}]}),
     "per-1"),
    (observation(_effectiveDateTime={"extension": [
        {"url": "http://example.org/x", "valueContactPoint": {"value": "1"}}]}), "cpt-2"),
    ({"resourceType": "Binary", "contentType": "nothing"}, "binding"),
    ({"resourceType": "Parameters", "parameter": [{"name": "a", "part": [
        {"name": "b", "resource": {"resourceType": "Organization"}}]}]}, "org-1"),
    ({"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Organization", "name": "x"}},
        {"fullUrl": "urn:uuid:2",
         "resource": observation(subject={"reference": "urn:uuid:1"})}]}, "targetProfile"),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "rule"), WRONG, ids=lambda each: str(each)[:60])
def test_a_broken_rule_is_left_to_the_walk(resource: Json, rule: str) -> None:
    assert not RULES.settled(resource)
    assert rule in broken(resource)


@pytest.mark.parametrize("contained", [[], [{"resourceType": "Patient", "id": "p"}]])
def test_a_reference_into_the_resource_that_leads_nowhere_is_no_case_for_a_look(
    contained: list[Json],
) -> None:
    resource = observation(subject={"reference": "#q"}, contained=contained)
    assert STRUCTURE.check(resource).issues
