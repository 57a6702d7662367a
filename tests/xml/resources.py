"""Resources that together have everything that JSON and XML write differently."""

from decimal import Decimal
from typing import Any

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"'
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "_language": {"id": "l1"},
    "language": "en",
    "text": {
        "status": "generated",
        "div": f"{DIV} id='n'>A <b>bold</b>&#160;&amp; caf\u00e9<br />\r\n<!-- - --></div>",
    },
    "contained": [
        {"resourceType": "Organization", "id": "o1", "name": "Ward <4> & \"5\""},
        {"resourceType": "Practitioner", "id": "o2"},
    ],
    "extension": [
        {"url": "http://example.org/a", "valueDecimal": Decimal("1.50")},
        {"id": "e1", "url": "urn:b", "extension": [{"url": "c", "valueBoolean": False}]},
    ],
    "active": True,
    "name": [
        {
            "id": "n1",
            "family": " two\nlines\tand a tab ",
            "given": ["Jos\u00e9", None, "\U0001f600"],
            "_given": [None, {"extension": [{"url": ABSENT, "valueCode": "a"}]}, {"id": "g3"}],
        },
        {"_given": [{"extension": [{"url": ABSENT, "valueCode": "masked"}]}]},
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://example.org/t", "valueTime": "14:35:45"}]},
    "_deceasedDateTime": {"extension": [{"url": ABSENT, "valueCode": "unknown"}]},
    "multipleBirthInteger": 2,
    "generalPractitioner": [{"reference": "#o2"}],
    "managingOrganization": {"reference": "#o1"},
}  # fmt: skip

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"versionId": "1", "profile": ["http://example.org/p"]},
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "userSelected": True}]},
    "subject": {"reference": "Patient/p1"},
    "component": [
        {"code": {"text": "a"}, "valueQuantity": {"value": Decimal("100.10"), "unit": "mm[Hg]"}},
        {"code": {"text": "b"}, "valueQuantity": {"value": 5}},
        {"code": {"text": "c"}, "valueQuantity": {"value": Decimal("1E-10")}},
        {"code": {"text": "d"}, "valueSampledData": {
            "origin": {"value": Decimal("0.00")}, "period": 10, "dimensions": 1, "data": "1 2 E"}},
    ],
}  # fmt: skip

BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a",
            "resource": PATIENT,
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "resource": OBSERVATION,
            "request": {"method": "PUT", "url": "Observation/o1"},
        },
        {"request": {"method": "DELETE", "url": "Patient/p2"}},
    ],
}

PARAMETERS: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "a", "valueUrl": "http://example.org/?a=1&b=2"},
        {"name": "b", "resource": OBSERVATION},
        {"name": "c", "part": [
            {"name": "d", "valueBase64Binary": "AAEC"}, {"name": "e", "resource": PATIENT}]},
    ],
}  # fmt: skip

ALL = [PATIENT, OBSERVATION, BUNDLE, PARAMETERS]
