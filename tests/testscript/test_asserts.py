from typing import Any

import pytest

from tests.testscript.building import (
    BASE_URL,
    PATIENT,
    answering,
    claim,
    last_action,
    operation,
    script_of,
)

RESPONSE: dict[str, Any] = {
    **PATIENT,
    "active": True,
    "multipleBirthInteger": 12,
    "name": [{"family": "Chalmers", "given": ["Peter", "James"]}],
}
HEADERS = {"ETag": 'W/"1"', "X-Size": "10", "Content-Type": "application/fhir+json; charset=utf-8"}
FIXTURES = [
    {"id": "same", "resource": RESPONSE},
    {"id": "other", "resource": {"resourceType": "Patient", "name": [{"family": "Other"}]}},
    {"id": "part", "resource": {"resourceType": "Patient", "name": [{"given": ["James"]}]}},
]
PROFILES = [
    {"id": "patient", "reference": "http://hl7.org/fhir/StructureDefinition/Patient"},
    {"id": "group", "reference": "http://hl7.org/fhir/StructureDefinition/Group"},
    {"id": "unknown", "reference": "http://example.org/StructureDefinition/none"},
]

# Each with whether it holds: `pass`, `fail`, or `error` for what cannot be judged.
CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"response": "okay"}, "pass"),
    ({"response": "created"}, "fail"),
    ({"response": "created", "operator": "notEquals"}, "pass"),
    ({"responseCode": "200"}, "pass"),
    ({"responseCode": "201"}, "fail"),
    ({"responseCode": "200,201", "operator": "in"}, "pass"),
    ({"responseCode": "200,201", "operator": "notIn"}, "fail"),
    ({"responseCode": "300", "operator": "lessThan"}, "pass"),
    ({"responseCode": "199", "operator": "greaterThan"}, "pass"),
    ({"contentType": "json"}, "pass"),
    ({"contentType": "xml"}, "fail"),
    ({"contentType": "application/fhir+json"}, "pass"),
    ({"contentType": "application/json"}, "fail"),
    ({"contentType": "application/fhir+json; charset=utf-8"}, "pass"),
    ({"contentType": "utf-8", "operator": "contains"}, "pass"),
    ({"headerField": "etag", "value": 'W/"1"'}, "pass"),
    ({"headerField": "ETag", "value": 'W/"2"'}, "fail"),
    ({"headerField": "ETag"}, "pass"),
    ({"headerField": "Location"}, "fail"),
    ({"headerField": "Location", "operator": "empty"}, "pass"),
    ({"headerField": "Location", "operator": "notEmpty"}, "fail"),
    ({"headerField": "X-Size", "operator": "greaterThan", "value": "9"}, "pass"),
    ({"headerField": "X-Size", "operator": "greaterThan", "value": "10"}, "fail"),
    ({"headerField": "Accept", "direction": "request", "operator": "contains", "value": "json"}, "pass"),  # noqa: E501
    ({"headerField": "ETag", "operator": "equals"}, "error"),
    ({"resource": "Patient"}, "pass"),
    ({"resource": "Observation"}, "fail"),
    ({"resource": "Observation", "operator": "notEquals"}, "pass"),
    ({"expression": "Patient.active"}, "pass"),
    ({"expression": "Patient.active.not()"}, "fail"),
    ({"expression": "Patient.birthDate"}, "fail"),
    ({"expression": "Patient.active", "operator": "eval"}, "pass"),
    ({"expression": "Patient.active", "value": "true"}, "pass"),
    ({"expression": "Patient.name.given", "value": "James"}, "pass"),
    ({"expression": "Patient.name.given", "value": "Anne"}, "fail"),
    ({"expression": "Patient.name.given", "value": "James", "operator": "notEquals"}, "fail"),
    ({"expression": "Patient.name.given", "value": "Anne", "operator": "notEquals"}, "pass"),
    ({"expression": "Patient.name.given", "value": "am", "operator": "contains"}, "pass"),
    ({"expression": "Patient.name.given", "value": "am", "operator": "notContains"}, "fail"),
    ({"expression": "Patient.multipleBirth", "value": "9", "operator": "greaterThan"}, "pass"),
    ({"expression": "Patient.multipleBirth", "value": "9", "operator": "lessThan"}, "fail"),
    ({"expression": "Patient.birthDate", "operator": "empty"}, "pass"),
    ({"expression": "Patient.name", "operator": "notEmpty"}, "pass"),
    ({"expression": "Patient.name", "operator": "greaterThan"}, "error"),
    ({"expression": "Patient.(", "value": "x"}, "error"),
    ({"expression": "Patient.name.given"}, "error"),
    ({"path": "Patient/name/family", "value": "Chalmers"}, "pass"),
    ({"path": "Patient/name/family", "value": "Other"}, "fail"),
    ({"path": "$.name[0].family", "value": "Chalmers"}, "pass"),
    ({"path": "Patient/birthDate"}, "fail"),
    ({"path": "Patient/name"}, "pass"),
    ({"path": "a/["}, "error"),
    ({"path": "Patient/name/family", "compareToSourceId": "same", "compareToSourcePath": "Patient/name/family"}, "pass"),  # noqa: E501
    ({"path": "Patient/name/family", "compareToSourceId": "other", "compareToSourcePath": "Patient/name/family"}, "fail"),  # noqa: E501
    ({"expression": "name.given", "compareToSourceId": "same", "compareToSourceExpression": "name.given"}, "pass"),  # noqa: E501
    ({"expression": "name.given", "compareToSourceId": "part", "compareToSourceExpression": "name.given"}, "pass"),  # noqa: E501
    ({"expression": "name.family", "compareToSourceId": "part", "compareToSourceExpression": "name.family"}, "fail"),  # noqa: E501
    ({"compareToSourceId": "same", "compareToSourceExpression": "Patient.name.first().family"}, "pass"),  # noqa: E501
    ({"compareToSourceId": "other", "compareToSourceExpression": "Patient.name.first().family"}, "fail"),  # noqa: E501
    ({"compareToSourceId": "other", "compareToSourcePath": "Patient/name/family", "operator": "notEquals"}, "pass"),  # noqa: E501
    ({"compareToSourceId": "none", "compareToSourcePath": "Patient/name/family"}, "error"),
    ({"minimumId": "same"}, "pass"),
    ({"minimumId": "part"}, "pass"),
    ({"minimumId": "other"}, "fail"),
    ({"minimumId": "none"}, "error"),
    ({"requestMethod": "get"}, "pass"),
    ({"requestMethod": "post"}, "fail"),
    ({"requestURL": f"{BASE_URL}/Patient/p"}, "pass"),
    ({"requestURL": "Patient", "operator": "contains"}, "pass"),
    ({"requestURL": "Group", "operator": "contains"}, "fail"),
    ({"navigationLinks": True}, "fail"),
    ({"navigationLinks": False}, "pass"),
    ({"validateProfileId": "patient"}, "pass"),
    ({"validateProfileId": "group"}, "fail"),
    ({"validateProfileId": "unknown"}, "error"),
    ({"sourceId": "other", "expression": "name.family", "value": "Other"}, "pass"),
    ({"sourceId": "other", "response": "okay"}, "error"),
    ({"sourceId": "none", "response": "okay"}, "error"),
    ({"expression": "id", "value": "${none}"}, "error"),
]  # fmt: skip


@pytest.mark.parametrize(("elements", "expected"), CLAIMS, ids=[str(each[0]) for each in CLAIMS])
async def test_an_assertion_holds_or_does_not(elements: dict[str, Any], expected: str) -> None:
    script = script_of(
        operation("read", resource="Patient", params="/p"),
        claim(**elements),
        fixture=FIXTURES,
        profile=PROFILES,
    )
    found = await last_action(script, answering(RESPONSE, headers=HEADERS))
    assert found.result == expected, found.message
    assert found.message


async def test_an_answer_that_is_no_resource_fails_and_says_so() -> None:
    script = script_of(operation("read", url="Patient/p"), claim(resource="Patient"))
    found = await last_action(script, answering(["no"]))
    assert (found.result, "is no FHIR resource" in found.message) == ("fail", True)


async def test_okay_is_200_unless_the_suite_means_any_success() -> None:
    script = script_of(operation("read", url="Patient/p"), claim(response="okay"))
    assert (await last_action(script, answering(status=201))).result == "fail"
    assert (await last_action(script, answering(status=201), any_success=True)).result == "pass"
    assert (await last_action(script, answering(status=404), any_success=True)).result == "fail"


async def test_a_failure_repeats_what_the_server_said() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "no such thing"}]}
    script = script_of(operation("read", url="Patient/p"), claim(response="okay"))
    assert "no such thing" in (await last_action(script, answering(outcome, 404))).message
