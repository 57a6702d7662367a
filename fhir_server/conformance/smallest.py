"""The smallest resource of a type: what R4 demands of it and nothing else."""

from typing import Any

from fhir_server.spec import Definitions, ElementDefinition
from fhir_server.validation.content import properties

_VALUES: dict[str, Any] = {
    "base64Binary": "AAAA",
    "boolean": True,
    "canonical": "http://example.org/any",
    "code": "any",
    "date": "2020-01-01",
    "dateTime": "2020-01-01T00:00:00Z",
    "decimal": 1,
    "id": "any",
    "instant": "2020-01-01T00:00:00Z",
    "integer": 1,
    "markdown": "Any",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "Any",
    "time": "00:00:00",
    "unsignedInt": 1,
    "uri": "http://example.org/any",
    "url": "http://example.org/any",
    "uuid": "urn:uuid:00000000-0000-4000-8000-000000000000",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Any</p></div>',
}
# Types none of whose elements is demanded, though something has to be there.
_CODING = {"system": "http://example.org/any", "code": "any"}
_SMALLEST: dict[str, Any] = {
    "Attachment": {"title": "Any"},
    "CodeableConcept": {"text": "Any"},
    "Coding": _CODING,
    "Money": {"value": 1, "currency": "EUR"},
    "Period": {"start": "2020-01-01"},
    "Quantity": {"value": 1},
    "Reference": {"display": "Any"},
}
# What the invariants of a type demand beside its elements.
_ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_INVARIANTS: dict[str, dict[str, Any]] = {
    "AllergyIntolerance": {"clinicalStatus": {"coding": [{"system": _ALLERGY, "code": "active"}]}},
    "Appointment": {
        "status": "proposed",
        "participant": [{"actor": {"display": "Any"}, "status": "accepted"}],
    },
    "AppointmentResponse": {"actor": {"display": "Any"}},
    "Binary": {"contentType": "text/plain"},
    "CapabilityStatement": {"description": "Any", "rest": [{"mode": "server"}]},
    "Consent": {"policyRule": {"text": "Any"}},
    "EventDefinition": {"trigger": [{"type": "named-event", "name": "any"}]},
    "ImmunizationRecommendation": {
        "recommendation": [
            {"vaccineCode": [{"text": "Any"}], "forecastStatus": {"text": "Any"}},
        ]
    },
    "InsurancePlan": {"name": "Any"},
    "Linkage": {
        "item": [
            {"type": "source", "resource": {"display": "Any"}},
            {"type": "alternate", "resource": {"display": "Other"}},
        ]
    },
    "Organization": {"name": "Any"},
    "StructureDefinition": {
        "differential": {"element": [{"id": "Any", "path": "Any"}]},
        "kind": "logical",
        "type": "http://example.org/Any",
    },
    "TerminologyCapabilities": {"kind": "requirements", "description": "Any"},
}


def smallest(type_: str, definitions: Definitions) -> dict[str, Any] | None:
    """A resource with the demanded elements of its type; None if R4 has no such type."""
    if type_ not in definitions.resource_types:
        return None
    return {"resourceType": type_, **_object(type_, definitions), **_INVARIANTS.get(type_, {})}


def _object(type_: str, definitions: Definitions) -> dict[str, Any]:
    made = {}
    for element in definitions.types[type_].elements.values():
        if element.min:
            property_, of = properties(element)[0]
            value = _value(element, of, definitions)
            made[property_] = value if element.max == 1 else [value]
    return made


def _value(element: ElementDefinition, type_: str, definitions: Definitions) -> Any:
    if element.content:
        return _object(element.content, definitions)
    if type_ == "Resource":
        return {"resourceType": "Basic", **_object("Basic", definitions)}
    binding = element.binding
    systems = definitions.codes_by_system(binding.value_set) if binding else None
    if type_ == "code" and systems:
        return min(min(codes) for codes in systems.values() if codes)
    if type_ in _VALUES:
        return _VALUES[type_]
    if type_ == "CodeableConcept" and systems:
        system, codes = min((system, codes) for system, codes in systems.items())
        return {"coding": [{"system": system, "code": min(codes)}]}
    return _object(type_, definitions) or _SMALLEST.get(type_, {"id": "any"})
