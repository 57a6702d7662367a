"""Every interaction in XML, over HTTP (R4 http.html#mime-type, xml.html)."""

from typing import Any

import httpx
import pytest

from fhir_server.xml import decode_xml, encode_xml
from tests.answers import link_of, resource_of
from tests.xml.resources import DIV, OBSERVATION, PATIENT

XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
READ = {"Accept": "application/fhir+xml"}
CONTENT_TYPE = "application/fhir+xml; charset=utf-8"


def read_xml(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert answer.headers["vary"] == "accept"
    assert int(answer.headers["content-length"]) == len(answer.content)
    return decode_xml(answer.content)


async def test_what_is_sent_as_xml_comes_back_as_xml_and_as_json(client: httpx.AsyncClient) -> None:
    created = read_xml(await client.post("Patient", content=encode_xml(PATIENT), headers=XML), 201)
    expected = PATIENT | {"id": created["id"], "meta": created["meta"]}
    assert created == expected
    url = f"Patient/{created['id']}"
    assert read_xml(await client.get(url, headers=READ)) == expected
    assert resource_of(await client.get(url)) == expected


async def test_what_is_sent_as_json_comes_back_as_xml(client: httpx.AsyncClient) -> None:
    await client.put("Patient/x1", json={"resourceType": "Patient", "id": "x1", "active": True})
    found = read_xml(await client.get("Patient/x1?_format=xml"))
    assert found["active"] is True
    body = (await client.get("Patient/x1?_format=text/xml&_pretty=true")).text
    assert body.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Patient xmlns=')
    assert '\n  <active value="true"/>\n' in body


async def test_the_same_content_in_another_format_makes_no_version(
    client: httpx.AsyncClient,
) -> None:
    resource = OBSERVATION | {"id": "x2"}
    body = encode_xml(resource)
    first = await client.put("Observation/x2", content=body, headers=XML)
    assert read_xml(first, 201)["component"] == OBSERVATION["component"]
    assert (await client.put("Observation/x2", content=body, headers=XML)).headers["etag"] == (
        'W/"1"'
    )


async def test_head_tells_the_length_of_the_xml(client: httpx.AsyncClient) -> None:
    await client.put("Patient/x3", json={"resourceType": "Patient", "id": "x3"})
    head = await client.head("Patient/x3", headers=READ)
    get = await client.get("Patient/x3", headers=READ)
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == CONTENT_TYPE
    assert head.content == b""


async def test_a_generic_media_type_is_answered_with_itself(client: httpx.AsyncClient) -> None:
    for name in ("application/xml", "text/xml", "application/json"):
        answer = await client.get("metadata", headers={"Accept": name})
        assert answer.headers["content-type"] == f"{name}; charset=utf-8"


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_in_xml_is_answered_in_xml(client: httpx.AsyncClient, kind: str) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {
                "resource": {
                    "resourceType": "Patient",
                    "text": {"status": "generated", "div": f"{DIV}>a<br /></div>"},
                },
                "request": {"method": "POST", "url": "Patient"},
            },
            {"request": {"method": "GET", "url": "metadata?_elements=status&_format=json"}},
        ],
    }
    found = read_xml(await client.post("", content=encode_xml(bundle), headers=XML))
    assert found["type"] == f"{kind}-response"
    assert found["entry"][0]["resource"]["text"]["div"] == f"{DIV}>a<br /></div>"
    assert [entry["response"]["status"][:3] for entry in found["entry"]] == ["201", "200"]


async def test_a_refused_entry_of_a_batch_is_told_in_the_format_of_the_bundle(
    client: httpx.AsyncClient,
) -> None:
    body = (
        '<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource><Patient>'
        '<nam value="x"/></Patient></resource><request><method value="POST"/><url value="Patient"/>'
        "</request></entry></Bundle>"
    )
    found = read_xml(await client.post("", content=body, headers=XML))
    assert found["entry"][0]["response"]["status"] == "400 Bad Request"
    assert "nam" in found["entry"][0]["response"]["outcome"]["issue"][0]["diagnostics"]


async def test_searches_and_histories_are_bundles_in_xml(client: httpx.AsyncClient) -> None:
    await client.put("Basic/a", json={"resourceType": "Basic", "id": "a", "code": {"text": "x"}})
    await client.put("Basic/b", json={"resourceType": "Basic", "id": "b", "code": {"text": "x"}})
    page = read_xml(await client.get("Basic?_count=1&_format=xml"))
    following = link_of(page, "next")
    assert following is not None
    assert len(read_xml(await client.get(following))["entry"]) == 1
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = await client.post("Basic/_search", content="_format=xml", headers=form)
    assert len(read_xml(posted)["entry"]) == 2
    assert read_xml(await client.get("Basic/_history", headers=READ))["type"] == "history"
    assert read_xml(await client.get("Basic/a/_history/1", headers=READ))["id"] == "a"


REFUSALS = [
    ("GET", "Patient/nobody", 404),
    ("GET", "Nothing/nobody", 404),
    ("GET", "no/such/path/at/all", 404),
    ("GET", "Patient?nonsense=1", 400),
    ("GET", "Patient?_pretty=maybe", 400),
    ("GET", "Patient?a=%FF", 400),
    ("POST", "Patient", 400),
    ("PUT", "metadata", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), REFUSALS)
async def test_refusals_are_in_the_negotiated_format(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    found = read_xml(await client.request(method, path, headers=XML), status)
    assert found["resourceType"] == "OperationOutcome"
    assert found["issue"][0]["diagnostics"]


async def test_an_unknown_content_type_is_told_in_the_accepted_format(
    client: httpx.AsyncClient,
) -> None:
    headers = READ | {"Content-Type": "text/plain"}
    found = read_xml(await client.post("Patient", content=b"x", headers=headers), 415)
    assert "application/fhir+json or application/fhir+xml" in found["issue"][0]["diagnostics"]


PATIENT_OF = '<Patient xmlns="http://hl7.org/fhir">{}</Patient>'
DEFECTS = [
    (PATIENT_OF.format('<nam value="x"/>'), "Unknown element", None),
    (PATIENT_OF.format('<active value="yes"/>'), "boolean", "Patient.active"),
    (PATIENT_OF.format("\n<active>true</active>"), "Line 2", "Patient.active"),
    ("<Patient/>", "namespace", None),
    ("<!DOCTYPE a><Patient/>", "document type", None),
    ('<Foo xmlns="http://hl7.org/fhir"/>', "Foo", None),
    ('{"resourceType":"Patient"}', "well-formed", None),
]


@pytest.mark.parametrize(("body", "told", "where"), DEFECTS)
async def test_defects_of_a_document_are_told_with_their_place(
    client: httpx.AsyncClient, body: str, told: str, where: str | None
) -> None:
    issue = read_xml(await client.post("Patient", content=body, headers=XML), 400)["issue"][0]
    assert told in issue["diagnostics"]
    if where is not None:
        assert issue["expression"] == [where]


async def test_a_large_document_is_taken(client: httpx.AsyncClient) -> None:
    names = [{"text": f"{number} " * 20} for number in range(3000)]
    resource = {"resourceType": "Patient", "name": names}
    created = read_xml(await client.post("Patient", content=encode_xml(resource), headers=XML), 201)
    assert created["name"] == names


async def test_what_xml_cannot_hold_is_refused_in_json_too(client: httpx.AsyncClient) -> None:
    resource = {"resourceType": "Patient", "id": "x9", "name": [{"text": "a\uffff"}]}
    response = await client.put("Patient/x9", json=resource)
    assert response.status_code == 400
    (issue,) = response.json()["issue"]
    assert "U+FFFF" in issue["diagnostics"]
    assert issue["expression"] == ["Patient.name[0].text"]
    assert (await client.get("Patient/x9")).status_code == 404
