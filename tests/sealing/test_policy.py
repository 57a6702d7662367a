"""Which elements are sealed."""

import json
from pathlib import Path

import pytest

from fhir_server.sealing.policy import DEFAULT, NOTHING, Policy, PolicyError, checked, read_policy
from fhir_server.spec import definitions


def test_the_default_seals_insurance_details_notes_and_diagnosis_codes() -> None:
    found = read_policy(DEFAULT).elements
    assert {"identifier", "subscriberId", "policyHolder"} <= set(found["Coverage"])
    assert {"insurance", "diagnosis"} <= set(found["Claim"])
    assert {"code", "note"} <= set(found["Condition"])
    assert {"reasonCode", "diagnosis"} <= set(found["Encounter"])
    assert {"reasonCode", "note"} <= set(found["ServiceRequest"])
    noted = {
        name
        for name in definitions().resource_types
        for element in [definitions().types[name].elements.get("note")]
        if element and any(each.code == "Annotation" for each in element.types)
    }
    # Definitions tell of no patient.
    defining = {name for name in noted if "publisher" in definitions().types[name].elements}
    assert {name for name, elements in found.items() if "note" in elements} == noted - defining


def test_the_narrative_goes_with_what_it_may_repeat() -> None:
    assert checked({"Condition": ["code"]}, definitions()).elements == {
        "Condition": ("code", "text")
    }


def test_an_element_of_several_types_stands_in_several_properties() -> None:
    found = checked({"Observation": ["value"]}, definitions()).properties["Observation"]
    assert {"valueQuantity", "_valueString", "text"} <= found
    assert "valueset" not in found


@pytest.mark.parametrize(
    ("elements", "problem"),
    [
        ({"Conditions": ["code"]}, "'Conditions' is no resource type"),
        ({"Condition": ["kode"]}, "no element 'kode'"),
        ({"Condition": ["id"]}, "finds resources by it"),
        ({"Patient": ["identifier"]}, "finds resources by it"),
        ({"Bundle": ["entry"]}, "elements of Bundle"),
        ({"ValueSet": ["compose"]}, "for everybody"),
        ({"*": ["nothing"]}, "no type has such an element"),
    ],
)
def test_what_cannot_be_sealed_is_refused_by_name(
    elements: dict[str, list[str]], problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"elements": elements}))
    with pytest.raises(PolicyError, match=problem):
        read_policy(str(file))


@pytest.mark.parametrize("text", ["", "[]", '{"elements": {"A": "b"}}', '{"element": {}}'])
def test_a_file_that_is_no_policy_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    with pytest.raises(PolicyError, match=r"policy\.json cannot be read"):
        read_policy(str(file))


def test_two_policies_together_seal_what_either_does() -> None:
    both = Policy({"Condition": ["code"]}) | Policy({"Condition": ["note"], "Goal": ["note"]})
    assert both.elements == {"Condition": ("code", "note"), "Goal": ("note",)}
    assert both | NOTHING == both
    assert not NOTHING
