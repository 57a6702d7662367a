"""Operations in general: where they are, how they are called, what is refused and how."""

from typing import Any

import httpx
import pytest

from fhir_server.xml import decode_xml
from tests.answers import FHIR_JSON, diagnostics_of, refusal_of, resource_of

PATIENT = {"resourceType": "Patient", "active": True}
XML = {"Content-Type": "application/fhir+xml"}


def parameters(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(items)}


async def test_the_one_resource_may_be_the_body(client: httpx.AsyncClient) -> None:
    assert resource_of(await client.post("$convert", json=PATIENT)) == PATIENT


async def test_the_resource_may_be_in_parameters(client: httpx.AsyncClient) -> None:
    body = parameters({"name": "input", "resource": PATIENT})
    assert resource_of(await client.post("$convert", json=body)) == PATIENT


async def test_format_is_as_for_every_interaction(client: httpx.AsyncClient) -> None:
    sent = '<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    answer = await client.post("$convert", content=sent, headers=XML)
    assert resource_of(answer) == PATIENT
    answer = await client.post("$convert?_format=xml", json=PATIENT)
    assert answer.text.endswith(sent)


async def test_a_required_parameter_that_is_absent_is_named(client: httpx.AsyncClient) -> None:
    for body in (None, parameters({"name": "input", "valueString": "x"})):
        answer = await client.post("$convert", json=body) if body else await client.post("$convert")
        assert "input" in refusal_of(answer, 400, "required")


async def test_a_parameter_twice_that_may_be_given_once_is_refused(
    client: httpx.AsyncClient,
) -> None:
    item = {"name": "input", "resource": PATIENT}
    told = refusal_of(await client.post("$convert", json=parameters(item, item)), 400, "invalid")
    assert "input may be given once, not 2 times" in told


async def test_unknown_parameters_are_refused_by_name(client: httpx.AsyncClient) -> None:
    body = parameters({"name": "input", "resource": PATIENT}, {"name": "imput", "valueCode": "x"})
    outcome = resource_of(await client.post("$convert?profile=x", json=body), 400)
    told = diagnostics_of(outcome, "not-supported")
    assert '"imput"; did you mean input?' in told
    assert '"profile"' in told
    assert ["Parameters.parameter[1]"] in [each.get("expression") for each in outcome["issue"]]


async def test_a_resource_that_breaks_r4_is_refused(client: httpx.AsyncClient) -> None:
    refusal_of(await client.post("$convert", json=PATIENT | {"gender": "f"}), 400, "code-invalid")
    body = parameters({"name": "input", "resource": PATIENT | {"gender": "f"}})
    refusal_of(await client.post("$convert", json=body), 400, "code-invalid")


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Type": ""}])
async def test_a_body_of_another_kind_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    refusal_of(await client.post("$convert", content=b"{}", headers=headers), 415)


async def test_get_is_refused_where_a_url_cannot_hold_what_is_needed(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("$convert")
    refusal_of(answer, 405, "not-supported")
    assert answer.headers["allow"] == "POST"


async def test_an_operation_at_another_place_is_told_where_it_is(
    client: httpx.AsyncClient,
) -> None:
    told = refusal_of(await client.post("Patient/$convert", json=PATIENT), 404, "not-supported")
    assert "There is no operation $convert on Patient; it is at $convert" in told


async def test_batch_and_transaction_call_operations(client: httpx.AsyncClient) -> None:
    for kind in ("batch", "transaction"):
        entry = {"request": {"method": "POST", "url": "$convert"}, "resource": PATIENT}
        create = {"request": {"method": "POST", "url": "Patient"}, "resource": dict(PATIENT)}
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry, create]}
        answer = resource_of(await client.post("", json=bundle))
        (converted, created) = answer["entry"]
        assert converted["response"]["status"] == "200 OK"
        assert converted["resource"] == PATIENT
        assert created["response"]["status"] == "201 Created"


async def test_an_operation_that_fails_undoes_a_transaction(client: httpx.AsyncClient) -> None:
    before = resource_of(await client.get("Patient?_summary=count"))["total"]
    entries = [
        {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT},
        {"request": {"method": "POST", "url": "$convert"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    refusal_of(await client.post("", json=bundle), 400, "required")
    assert resource_of(await client.get("Patient?_summary=count"))["total"] == before


async def test_capabilities_list_operations_where_they_are(client: httpx.AsyncClient) -> None:
    statement = resource_of(await client.get("metadata"))
    definition = "http://hl7.org/fhir/OperationDefinition/Resource-convert"
    assert {"name": "convert", "definition": definition} in statement["rest"][0]["operation"]


async def test_answers_are_in_the_usual_format(client: httpx.AsyncClient) -> None:
    answer = await client.post("$convert", json=PATIENT)
    assert answer.headers["content-type"] == FHIR_JSON


@pytest.mark.parametrize(
    "path",
    [
        "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
        "CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male",
        "$meta",
    ],
)
async def test_answers_come_as_xml_too(client: httpx.AsyncClient, path: str) -> None:
    in_json = resource_of(await client.get(path))
    answer = await client.get(path, headers={"Accept": "application/fhir+xml"})
    assert answer.status_code == 200
    again = decode_xml(answer.content)
    for found in (in_json, again):
        found.get("expansion", {}).pop("identifier", None)
        found.get("expansion", {}).pop("timestamp", None)
    assert again == in_json


async def test_head_asks_as_get_does(client: httpx.AsyncClient) -> None:
    answer = await client.head("$meta")
    assert (answer.status_code, answer.content) == (200, b"")
