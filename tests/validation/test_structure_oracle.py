"""The structure check agrees with fhir.resources, where R4 and its R4B do not differ."""

import warnings
from typing import Any

import pytest

from fhir_server.fhir_json import encode
from fhir_server.validation.structure import StructureCheck

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhir.resources.R4B import get_fhir_model_class

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "example",
    "identifier": [{"system": "urn:oid:1.2.36", "value": "12345", "use": "usual"}],
    "name": [{"family": "Meier", "given": ["Eva"]}],
    "gender": "female",
    "birthDate": "1980-02-29",
    "contact": [{"relationship": [{"text": "mother"}], "gender": "female"}],
    "multipleBirthInteger": 2,
}
ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter",
    "status": "finished",
    "class": {"code": "AMB", "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode"},
    "period": {"start": "2024-01-01T10:00:00Z", "end": "2024-01-01T11:00:00+01:00"},
    "subject": {"reference": "Patient/1"},
}
MEDICATION: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "status": "active",
    "intent": "order",
    "medicationCodeableConcept": {"text": "Aspirin"},
    "subject": {"reference": "Patient/1"},
    "dosageInstruction": [{"timing": {"repeat": {"frequency": 1, "periodUnit": "d"}}}],
}

CASES: list[dict[str, Any]] = [
    PATIENT,
    ENCOUNTER,
    MEDICATION,
    PATIENT | {"nmae": []},
    PATIENT | {"name": {"family": "Meier"}},
    PATIENT | {"birthDate": "1980-02-30"},
    PATIENT | {"birthDate": 1980},
    PATIENT | {"multipleBirthBoolean": True},
    PATIENT | {"contact": [{"genders": "female"}]},
    PATIENT | {"id": "a/b"},
    {name: value for name, value in ENCOUNTER.items() if name != "class"},
    {name: value for name, value in ENCOUNTER.items() if name != "status"},
    ENCOUNTER | {"period": {"start": "yesterday"}},
    ENCOUNTER | {"length": {"value": "long"}},
    {name: value for name, value in MEDICATION.items() if not name.startswith("medication")},
    MEDICATION | {"medicationReference": {"reference": "Medication/1"}},
    MEDICATION | {"dosageInstruction": [{"timing": {"repeat": {"periodUnits": "d"}}}]},
]


@pytest.mark.parametrize("resource", CASES)
def test_agrees_with_fhir_resources(structure: StructureCheck, resource: dict[str, Any]) -> None:
    model = get_fhir_model_class(resource["resourceType"])
    try:
        model.model_validate_json(encode(resource))
        valid = True
    except ValueError:
        valid = False
    assert (structure.check(resource).issues == ()) is valid
