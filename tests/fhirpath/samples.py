"""Resources that the tests of FHIRPath share."""

from decimal import Decimal
from typing import Any

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "extension": [{"url": "http://example.org/age", "valueAge": {"value": 39, "unit": "a"}}],
    "name": [
        {
            "use": "official",
            "family": "Chalmers",
            "given": ["Peter", None, "James"],
            "_given": [None, {"extension": [{"url": "http://example.org/why"}]}, None],
        },
        {"use": "usual", "given": ["Jim"]},
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {
        "id": "b",
        "extension": [{"url": "http://example.org/time", "valueDateTime": "1974-12-25T14:35:45Z"}],
    },
    "multipleBirthInteger": 2,
    "contact": [{"organization": {"reference": "#o"}}],
    "contained": [{"resourceType": "Organization", "id": "o", "partOf": {"reference": "#"}}],
    "managingOrganization": {"reference": "Organization/1"},
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">Peter</div>',
    },
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "w",
    "status": "final",
    "valueQuantity": {
        "value": Decimal("185.0"),
        "unit": "lbs",
        "system": "http://unitsofmeasure.org",
        "code": "[lb_av]",
    },
    "effectivePeriod": {"start": "2020-01-01", "end": "2020-01"},
}

BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "http://example.org/fhir/Patient/p",
            "resource": PATIENT,
        },
        {
            "fullUrl": "http://example.org/fhir/Organization/1",
            "resource": {"resourceType": "Organization", "id": "1", "name": "One"},
        },
        {
            "fullUrl": "urn:uuid:0b0a4e20-3d2c-4a66-b0f8-000000000001",
            "resource": {
                "resourceType": "Observation",
                "subject": {"reference": "http://example.org/fhir/Patient/p"},
                "focus": [{"reference": "urn:uuid:0b0a4e20-3d2c-4a66-b0f8-000000000001"}],
            },
        },
    ],
}
