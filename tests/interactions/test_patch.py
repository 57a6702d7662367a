"""patch and conditional patch (R4 http.html#patch), alone and in Bundles."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.bundles import bundle, entry, numbered, refused, send, statuses, urn

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Chalmers"}]}
ACTIVE = {"op": "add", "path": "/active", "value": True}


async def stored(client: httpx.AsyncClient, id_: str, **more: Any) -> dict[str, Any]:
    answer = await client.put(f"Patient/{id_}", json=PATIENT | {"id": id_} | more)
    return resource_of(answer, 201)


async def patch(
    client: httpx.AsyncClient, path: str, *operations: Any, **headers: str
) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.patch(
        path, content=json.dumps(operations), headers={"Content-Type": JSON_PATCH} | given
    )


def binary(*operations: Any) -> dict[str, Any]:
    data = b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data}


async def versions(client: httpx.AsyncClient, path: str) -> int:
    return int(resource_of(await client.get(f"{path}/_history"))["total"])


async def test_a_patch_makes_the_next_version(client: httpx.AsyncClient) -> None:
    await stored(client, "next")
    answer = await patch(client, "Patient/next", ACTIVE)
    found = resource_of(answer)
    assert found["active"] is True
    assert found["name"] == PATIENT["name"]
    assert found["meta"]["versionId"] == "2"
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"] == "http://test/fhir/Patient/next/_history/2"
    assert resource_of(await client.get("Patient/next")) == found
    found_by_search = resource_of(await client.get("Patient?active=true&_id=next"))
    assert len(found_by_search["entry"]) == 1


async def test_history_tells_a_patch_as_the_update_it_amounts_to(
    client: httpx.AsyncClient,
) -> None:
    await stored(client, "history")
    await patch(client, "Patient/history", ACTIVE)
    newest = resource_of(await client.get("Patient/history/_history"))["entry"][0]
    assert newest["request"] == {"method": "PUT", "url": "Patient/history"}
    assert newest["resource"]["active"] is True


async def test_a_merge_patch_sets_and_removes(client: httpx.AsyncClient) -> None:
    await stored(client, "merge", gender="male")
    answer = await client.patch(
        "Patient/merge",
        content=b'{"gender": null, "maritalStatus": {"text": "married"}}',
        headers={"Content-Type": MERGE_PATCH},
    )
    found = resource_of(answer)
    assert "gender" not in found
    assert found["maritalStatus"] == {"text": "married"}


async def test_decimals_keep_their_digits(client: httpx.AsyncClient) -> None:
    observation = (
        b'{"resourceType":"Observation","id":"d","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":1.10}}'
    )
    await client.put("Observation/d", content=observation)
    operations = b'[{"op":"add","path":"/referenceRange","value":[{"low":{"value":2.00}}]}]'
    answer = await client.patch(
        "Observation/d", content=operations, headers={"Content-Type": JSON_PATCH}
    )
    assert answer.status_code == 200
    assert b'"value":1.10}' in answer.content
    assert b'"value":2.00}' in answer.content


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [{"op": "test", "path": "/name/0/family", "value": "Chalmers"}],
        [ACTIVE, {"op": "remove", "path": "/active"}],
        [{"op": "replace", "path": "/meta/versionId", "value": "77"}],
    ],
)
async def test_what_changes_nothing_makes_no_version(
    client: httpx.AsyncClient, operations: list[Any]
) -> None:
    await client.put("Patient/same", json=PATIENT | {"id": "same"})
    answer = await patch(client, "Patient/same", *operations)
    assert resource_of(answer)["meta"]["versionId"] == "1"
    assert answer.headers["etag"] == 'W/"1"'
    assert await versions(client, "Patient/same") == 1


async def test_a_failing_operation_is_named_and_changes_nothing(client: httpx.AsyncClient) -> None:
    await stored(client, "test")
    test = {"op": "test", "path": "/name/0/family", "value": "Somebody"}
    told = refusal_of(await patch(client, "Patient/test", ACTIVE, test), 422, "processing")
    assert told.startswith("Operation 1: test '/name/0/family'")
    assert await versions(client, "Patient/test") == 1


async def test_a_malformed_patch_is_400(client: httpx.AsyncClient) -> None:
    await stored(client, "malformed")
    refusal_of(await patch(client, "Patient/malformed", {"op": "nonsense"}), 400, "structure")
    headers = {"Content-Type": JSON_PATCH}
    for content in (b"", b"{", b"{}"):
        answer = await client.patch("Patient/malformed", content=content, headers=headers)
        refusal_of(answer, 400)


@pytest.mark.parametrize(
    ("operation", "element"),
    [
        ({"op": "add", "path": "/gender", "value": "f"}, "Patient.gender"),
        ({"op": "add", "path": "/nonsense", "value": 1}, "Patient.nonsense"),
        ({"op": "replace", "path": "/name", "value": {"family": "x"}}, "Patient.name"),
        ({"op": "replace", "path": "/id", "value": "other"}, "Patient.id"),
        ({"op": "replace", "path": "/resourceType", "value": "Group"}, "Patient.resourceType"),
        ({"op": "replace", "path": "/meta", "value": 7}, "Patient.meta"),
    ],
)
async def test_a_patch_that_would_leave_an_invalid_resource_is_422(
    client: httpx.AsyncClient, operation: dict[str, Any], element: str
) -> None:
    await client.put("Patient/invalid", json=PATIENT | {"id": "invalid"})
    answer = await patch(client, "Patient/invalid", operation)
    refusal_of(answer, 422)
    assert element in answer.json()["issue"][0]["expression"][0]
    assert await versions(client, "Patient/invalid") == 1


async def test_nothing_to_patch_is_404_and_deleted_is_410(client: httpx.AsyncClient) -> None:
    refusal_of(await patch(client, "Patient/nobody", ACTIVE), 404, "not-found")
    await stored(client, "deleted")
    await client.delete("Patient/deleted")
    answer = await patch(client, "Patient/deleted", ACTIVE)
    refusal_of(answer, 410, "deleted")
    assert answer.headers["etag"] == 'W/"2"'


@pytest.mark.parametrize("name", ["application/x-www-form-urlencoded", "text/plain", "json", ""])
async def test_another_media_type_is_415_and_told_what_is_taken(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.patch("Patient/x", content=b"[]", headers={"Content-Type": name})
    refusal_of(answer, 415, "not-supported")
    assert JSON_PATCH in answer.headers["accept-patch"]
    assert MERGE_PATCH in answer.headers["accept-patch"]


async def test_if_match_must_name_the_current_version(client: httpx.AsyncClient) -> None:
    await stored(client, "match")
    answer = await patch(client, "Patient/match", ACTIVE, If_Match='W/"2"')
    refusal_of(answer, 412, "conflict")
    answer = await patch(client, "Patient/match", ACTIVE, If_Match='W/"1"')
    assert resource_of(answer)["meta"]["versionId"] == "2"


async def test_prefer_decides_what_comes_back(client: httpx.AsyncClient) -> None:
    await stored(client, "prefer")
    answer = await patch(client, "Patient/prefer", ACTIVE, Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (200, b"")
    gender = {"op": "add", "path": "/gender", "value": "male"}
    answer = await patch(client, "Patient/prefer", gender, Prefer="return=OperationOutcome")
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_patches_at_the_same_time_are_all_applied(client: httpx.AsyncClient) -> None:
    """Each is applied again to the version of whoever was faster."""
    await stored(client, "race")
    alias = [{"op": "add", "path": "/name/-", "value": {"text": str(n)}} for n in range(30)]
    answers = await asyncio.gather(*(patch(client, "Patient/race", item) for item in alias))
    assert {answer.status_code for answer in answers} == {200}
    found = resource_of(await client.get("Patient/race"))
    assert found["meta"]["versionId"] == "31"
    assert {name.get("text") for name in found["name"][1:]} == {str(n) for n in range(30)}


async def test_of_patches_with_one_if_match_one_wins(client: httpx.AsyncClient) -> None:
    await stored(client, "one")
    item = {"op": "add", "path": "/name/-", "value": {"text": "x"}}
    answers = await asyncio.gather(
        *(patch(client, "Patient/one", item, If_Match='W/"1"') for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_a_condition_selects_what_is_patched(client: httpx.AsyncClient) -> None:
    made = resource_of(await client.post("Patient", json=numbered("c1")), 201)
    answer = await patch(client, "Patient?identifier=urn:mrn|c1", ACTIVE)
    assert resource_of(answer)["id"] == made["id"]
    assert resource_of(answer)["active"] is True


async def test_a_condition_without_a_match_is_404_and_with_several_412(
    client: httpx.AsyncClient,
) -> None:
    answer = await patch(client, "Patient?identifier=urn:mrn|none", ACTIVE)
    refusal_of(answer, 404, "not-found")
    await client.post("Patient", json=numbered("c2"))
    await client.post("Patient", json=numbered("c2"))
    answer = await patch(client, "Patient?identifier=urn:mrn|c2", ACTIVE)
    refusal_of(answer, 412, "multiple-matches")
    refusal_of(await patch(client, "Patient", ACTIVE), 400, "required")


async def test_a_conditional_reference_in_a_patch_is_settled(client: httpx.AsyncClient) -> None:
    target = resource_of(await client.post("Patient", json=numbered("c3")), 201)
    await stored(client, "link")
    link = [{"other": {"reference": "Patient?identifier=urn:mrn|c3"}, "type": "seealso"}]
    answer = await patch(client, "Patient/link", {"op": "add", "path": "/link", "value": link})
    assert resource_of(answer)["link"][0]["other"] == {"reference": f"Patient/{target['id']}"}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_patches_by_a_binary(client: httpx.AsyncClient, kind: str) -> None:
    await stored(client, kind)
    await client.post("Patient", json=numbered(kind))
    condition = f"Patient?identifier=urn:mrn|{kind}"
    answers = await send(
        client,
        kind,
        entry("GET", f"Patient/{kind}"),
        entry("PATCH", f"Patient/{kind}", binary(ACTIVE), ifMatch='W/"1"'),
        entry("PATCH", condition, binary(ACTIVE)),
    )
    assert statuses(answers) == [200, 200, 200]
    assert answers[0]["resource"]["active"] is True
    assert answers[1]["response"]["etag"] == 'W/"2"'
    assert answers[2]["resource"]["active"] is True
    again = await send(client, kind, entry("PATCH", f"Patient/{kind}", binary(ACTIVE)))
    assert again[0]["response"]["etag"] == 'W/"2"'


async def test_entries_of_a_batch_fail_alone(client: httpx.AsyncClient) -> None:
    await stored(client, "alone")
    answers = await send(
        client,
        "batch",
        entry("PATCH", "Patient/alone", binary({"op": "remove", "path": "/gender"})),
        entry("PATCH", "Patient/nobody", binary(ACTIVE)),
        entry("PATCH", "Patient/alone", {"resourceType": "Binary", "contentType": "text/plain"}),
        entry("PATCH", "Patient?identifier=urn:mrn|none", binary(ACTIVE)),
        entry("PATCH", "Patient/alone", binary(ACTIVE)),
    )
    assert statuses(answers) == [422, 404, 400, 404, 200]


async def test_references_to_entries_are_settled_in_what_a_patch_makes(
    client: httpx.AsyncClient,
) -> None:
    await stored(client, "mother")
    link = [{"other": {"reference": urn(1)}, "type": "seealso"}]
    answers = await send(
        client,
        "transaction",
        entry("PATCH", "Patient/mother", binary({"op": "add", "path": "/link", "value": link})),
        entry("POST", "Patient", PATIENT, urn(1)),
    )
    made = answers[1]["resource"]["id"]
    assert answers[0]["resource"]["link"][0]["other"] == {"reference": f"Patient/{made}"}


async def test_a_patch_that_fails_fails_the_whole_transaction(client: httpx.AsyncClient) -> None:
    await stored(client, "whole")
    new = entry("POST", "Patient", PATIENT)
    test = {"op": "test", "path": "/active", "value": True}
    told = await refused(
        client, 422, "processing", new, entry("PATCH", "Patient/whole", binary(test))
    )
    assert told.startswith("Operation 0")
    wrong = binary({"op": "add", "path": "/gender", "value": "f"})
    body = bundle("transaction", new, entry("PATCH", "Patient/whole", wrong))
    answer = await client.post("", json=body)
    refusal_of(answer, 422)
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    await refused(client, 404, "not-found", new, entry("PATCH", "Patient/nobody", binary(ACTIVE)))
    absent = entry("PATCH", "Patient?identifier=urn:mrn|none", binary(ACTIVE))
    await refused(client, 404, "not-found", new, absent)
    stale = entry("PATCH", "Patient/whole", binary(ACTIVE), ifMatch='W/"9"')
    await refused(client, 412, "conflict", new, stale)


async def test_a_patch_and_another_write_of_one_identity_overlap(
    client: httpx.AsyncClient,
) -> None:
    await stored(client, "twice")
    item = entry("PATCH", "Patient/twice", binary(ACTIVE))
    put = entry("PUT", "Patient/twice", PATIENT | {"id": "twice"})
    for other in (item, put, entry("DELETE", "Patient/twice")):
        await refused(client, 400, "duplicate", item, other)


async def test_the_capability_statement_lists_the_formats(client: httpx.AsyncClient) -> None:
    statement = resource_of(await client.get("metadata"))
    assert {JSON_PATCH, MERGE_PATCH} <= set(statement["patchFormat"])


async def test_an_xml_patch_changes_the_xml_form(client: httpx.AsyncClient) -> None:
    await stored(client, "xml", birthDate="1974")
    headers = {"Content-Type": "application/xml-patch+xml"}
    body = (
        b'<diff xmlns:f="http://hl7.org/fhir">'
        b'<replace sel="f:Patient/f:birthDate/@value">1975</replace></diff>'
    )
    answer = await client.patch("Patient/xml", content=body, headers=headers)
    assert resource_of(answer)["birthDate"] == "1975"
    assert resource_of(answer)["meta"]["versionId"] == "2"
    again = await client.patch("Patient/xml", content=body, headers=headers)
    assert resource_of(again)["meta"]["versionId"] == "2"
    data = b64encode(body.replace(b"1975", b"1976")).decode()
    holder = {"resourceType": "Binary", "contentType": headers["Content-Type"], "data": data}
    answers = await send(client, "transaction", entry("PATCH", "Patient/xml", holder))
    assert answers[0]["resource"]["birthDate"] == "1976"


DELETE_NAME = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "delete"},
                {"name": "path", "valueString": "Patient.birthDate"},
            ],
        }
    ],
}


async def test_a_fhirpath_patch_comes_in_json_and_in_xml(client: httpx.AsyncClient) -> None:
    await stored(client, "fhirpath", birthDate="1974")
    answer = await client.patch("Patient/fhirpath", json=DELETE_NAME)
    assert "birthDate" not in resource_of(answer)
    await stored(client, "inxml", birthDate="1974")
    body = (
        b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        b'<part><name value="type"/><valueCode value="delete"/></part>'
        b'<part><name value="path"/><valueString value="Patient.birthDate"/></part>'
        b"</parameter></Parameters>"
    )
    headers = {"Content-Type": "application/fhir+xml"}
    answer = await client.patch("Patient/inxml", content=body, headers=headers)
    assert "birthDate" not in resource_of(answer)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_holds_a_fhirpath_patch_as_parameters(
    client: httpx.AsyncClient, kind: str
) -> None:
    id_ = f"parameters-{kind}"
    await stored(client, id_, birthDate="1974")
    answers = await send(client, kind, entry("PATCH", f"Patient/{id_}", DELETE_NAME))
    assert "birthDate" not in answers[0]["resource"]


async def test_a_fhirpath_patch_in_a_transaction_refers_to_its_entries(
    client: httpx.AsyncClient,
) -> None:
    await stored(client, "refers")
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "generalPractitioner"},
        {"name": "value", "valueReference": {"reference": urn(2)}},
    ]
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": parts}],
    }
    answers = await send(
        client,
        "transaction",
        entry("PATCH", "Patient/refers", parameters),
        entry("POST", "Practitioner", {"resourceType": "Practitioner"}, urn(2)),
    )
    made = answers[1]["resource"]["id"]
    found = answers[0]["resource"]["generalPractitioner"]
    assert found == [{"reference": f"Practitioner/{made}"}]
