from typing import Any

import pytest

from fhir_server.fhirpath.references import target_type

OBSERVATION = {
    "resourceType": "Observation",
    "contained": [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Device", "id": "d"}],
}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"reference": "Patient/1"}, "Patient"),
        ({"reference": "Patient/1/_history/2"}, "Patient"),
        ({"reference": "https://example.org/fhir/Group/g-1"}, "Group"),
        ({"reference": "#d"}, "Device"),
        ({"reference": "#missing"}, None),
        ({"reference": "#"}, "Observation"),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, None),
        (
            {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Patient"},
            "Patient",
        ),
        ({"type": "Practitioner", "identifier": {"value": "1"}}, "Practitioner"),
        ({"display": "somebody"}, None),
        ("http://example.org/fhir/ValueSet/v", "ValueSet"),
        ("http://example.org/else", None),
    ],
)
def test_the_type_of_a_target_is_read_from_its_reference(
    reference: Any, expected: str | None
) -> None:
    assert target_type(reference, OBSERVATION) == expected
