"""Resources of nine linked types, of the size hospitals send: 0.5 to 1.5 kB each."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Resource = dict[str, Any]
References = Mapping[str, str]

IDENTIFIER_SYSTEM = "https://benchmark.example.org/identifier"
_LOINC, _SNOMED = "http://loinc.org", "http://snomed.info/sct"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _identifier(unique: str) -> list[Resource]:
    return [{"use": "usual", "system": IDENTIFIER_SYSTEM, "value": unique}]


def _address(number: int) -> list[Resource]:
    street = f"{100 + number % 900} Harbour Road"
    return [{"line": [street], "city": "Leith", "postalCode": "EH6 7AA", "country": "GB"}]


def organization(unique: str, number: int, _: References) -> Resource:
    return {
        "resourceType": "Organization",
        "identifier": _identifier(unique),
        "active": True,
        "type": [_concept(f"{_TERMINOLOGY}/organization-type", "prov", "Healthcare Provider")],
        "name": f"Harbour Clinic {number % 40}",
        "telecom": [{"system": "phone", "value": f"+44 131 496 {number % 10000:04}"}],
        "address": _address(number),
    }


def practitioner(unique: str, number: int, _: References) -> Resource:
    return {
        "resourceType": "Practitioner",
        "identifier": _identifier(unique),
        "active": True,
        "name": [{"family": f"Reid{number % 500}", "given": ["Morag"], "prefix": ["Dr."]}],
        "telecom": [{"system": "email", "value": f"m{number}@example.org", "use": "work"}],
        "address": _address(number),
        "gender": "female",
    }


def patient(unique: str, number: int, references: References) -> Resource:
    birth_sex = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
    return {
        "resourceType": "Patient",
        "extension": [{"url": birth_sex, "valueCode": "M"}],
        "identifier": [
            *_identifier(unique),
            {
                "type": _concept(f"{_TERMINOLOGY}/v2-0203", "MR", "Medical Record Number"),
                "system": "https://benchmark.example.org/mrn",
                "value": f"mrn-{unique}",
            },
        ],
        "active": True,
        "name": [
            {"use": "official", "family": f"Muir{number % 2000}", "given": ["Angus", "John"]},
            {"use": "maiden", "family": f"Laird{number % 2000}", "given": ["Angus"]},
        ],
        "telecom": [{"system": "phone", "value": f"555-{number % 10000:04}", "use": "home"}],
        "gender": "male" if number % 2 else "female",
        "birthDate": f"{1930 + number % 90}-{1 + number % 12:02}-{1 + number % 28:02}",
        "address": _address(number),
        "maritalStatus": _concept(f"{_TERMINOLOGY}/v3-MaritalStatus", "M", "Married"),
        "multipleBirthBoolean": False,
        "communication": [{"language": _concept("urn:ietf:bcp:47", "en-GB", "English")}],
        "managingOrganization": _to(references, "Organization"),
    }


def encounter(unique: str, number: int, references: References) -> Resource:
    kind = _concept(_SNOMED, "185345009", "Encounter for symptom")
    performer = _concept(f"{_TERMINOLOGY}/v3-ParticipationType", "PPRF", "primary performer")
    return {
        "resourceType": "Encounter",
        "identifier": _identifier(unique),
        "status": "finished",
        "class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": "AMB"},
        "type": [kind],
        "subject": _to(references, "Patient"),
        "participant": [
            {"type": [performer], "individual": _to(references, "Practitioner")},
        ],
        "period": _period(number),
        "serviceProvider": _to(references, "Organization"),
    }


def condition(unique: str, number: int, references: References) -> Resource:
    return {
        "resourceType": "Condition",
        "identifier": _identifier(unique),
        "clinicalStatus": _concept(f"{_TERMINOLOGY}/condition-clinical", "active", "Active"),
        "verificationStatus": _concept(
            f"{_TERMINOLOGY}/condition-ver-status", "confirmed", "Confirmed"
        ),
        "code": _concept(_SNOMED, "38341003", "Hypertensive disorder"),
        "subject": _to(references, "Patient"),
        "encounter": _to(references, "Encounter"),
        "onsetDateTime": _instant(number),
        "recordedDate": _instant(number),
    }


def service_request(unique: str, number: int, references: References) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "identifier": _identifier(unique),
        "status": "active",
        "intent": "order",
        "category": [_concept(_SNOMED, "108252007", "Laboratory procedure")],
        "priority": "routine",
        "code": _concept(_LOINC, "58410-2", "Complete blood count panel"),
        "subject": _to(references, "Patient"),
        "encounter": _to(references, "Encounter"),
        "requester": _to(references, "Practitioner"),
        "reasonReference": [_to(references, "Condition")],
        "authoredOn": _instant(number),
    }


def observation(unique: str, number: int, references: References) -> Resource:
    def pressure(code: str, display: str, value: float) -> Resource:
        unit = {"unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
        return {"code": _concept(_LOINC, code, display), "valueQuantity": {"value": value} | unit}

    category = f"{_TERMINOLOGY}/observation-category"
    return {
        "resourceType": "Observation",
        "identifier": _identifier(unique),
        "status": "final",
        "category": [_concept(category, "vital-signs", "Vital signs")],
        "code": _concept(_LOINC, "85354-9", "Blood pressure panel"),
        "subject": _to(references, "Patient"),
        "encounter": _to(references, "Encounter"),
        "effectiveDateTime": _instant(number),
        "issued": _instant(number),
        "performer": [_to(references, "Practitioner")],
        "component": [
            pressure("8480-6", "Systolic blood pressure", 110 + number % 50 + 0.5),
            pressure("8462-4", "Diastolic blood pressure", 70 + number % 25 + 0.25),
        ],
    }


def diagnostic_report(unique: str, number: int, references: References) -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "identifier": _identifier(unique),
        "basedOn": [_to(references, "ServiceRequest")],
        "status": "final",
        "category": [_concept(f"{_TERMINOLOGY}/v2-0074", "LAB", "Laboratory")],
        "code": _concept(_LOINC, "58410-2", "Complete blood count panel"),
        "subject": _to(references, "Patient"),
        "encounter": _to(references, "Encounter"),
        "effectiveDateTime": _instant(number),
        "issued": _instant(number),
        "performer": [_to(references, "Organization")],
        "result": [_to(references, "Observation")],
        "conclusion": "Within the limits of the method nothing remarkable was found.",
    }


def medication_request(unique: str, number: int, references: References) -> Resource:
    return {
        "resourceType": "MedicationRequest",
        "identifier": _identifier(unique),
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": _concept(
            "http://www.nlm.nih.gov/research/umls/rxnorm", "314076", "lisinopril 10 MG Oral Tablet"
        ),
        "subject": _to(references, "Patient"),
        "encounter": _to(references, "Encounter"),
        "authoredOn": _instant(number),
        "requester": _to(references, "Practitioner"),
        "reasonReference": [_to(references, "Condition")],
        "dosageInstruction": [
            {
                "sequence": 1,
                "text": "one tablet daily",
                "timing": {"repeat": {"frequency": 1, "period": 1.0, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": 1.0, "unit": "tablet"}}],
            }
        ],
    }


Maker = Callable[[str, int, References], Resource]

# In the order in which each can refer to those before it.
NINE_TYPES: dict[str, Maker] = {
    "Organization": organization,
    "Practitioner": practitioner,
    "Patient": patient,
    "Encounter": encounter,
    "Condition": condition,
    "ServiceRequest": service_request,
    "Observation": observation,
    "DiagnosticReport": diagnostic_report,
    "MedicationRequest": medication_request,
}


def encode(resource: Resource) -> bytes:
    """As it goes over the wire."""
    return json.dumps(resource, separators=(",", ":")).encode()


def _to(references: References, type_: str) -> Resource:
    if type_ in references:
        return {"reference": references[type_]}
    return {"display": f"some {type_}"}


def _instant(number: int) -> str:
    return f"2026-{1 + number % 12:02}-{1 + number % 28:02}T{number % 24:02}:15:00+01:00"


def _period(number: int) -> Resource:
    start = _instant(number)
    return {"start": start, "end": start.replace(":15:00", ":45:00")}
