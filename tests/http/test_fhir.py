"""The door: bodies, headers and status codes (R4 http.html, RFC 9110)."""

import json
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import httpx
import pytest

from fhir_server.settings import Settings
from tests.answers import refusal_of, resource_of
from tests.http.serving import serving

PATIENT = {"resourceType": "Patient", "name": [{"family": "Müller"}]}


async def post(client: httpx.AsyncClient, body: bytes, path: str = "Patient") -> httpx.Response:
    return await client.post(path, content=body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "no body"),
        (b"{", "EOF"),
        (b'{"resourceType": "Patient"} x', "trailing"),
        (b'{"resourceType": "Patient",}', "trailing comma"),
        (b"{'resourceType': 'Patient'}", "line 1 column 2"),
        (b'{"resourceType": "Patient", "active": NaN}', "line 1 column"),
        (b'{"resourceType": "Patient", "active": Infinity}', "line 1 column"),
        (b'{"resourceType": "Patient", "active": true, "active": false}', '"active"'),
        (b'{"resourceType": "Patient", "name": [{"text": "a", "text": "a"}]}', '"text"'),
        (b'\xef\xbb\xbf{"resourceType": "Patient"}', "line 1 column 1"),
        (b'{"resourceType": "Patient", "name": [{"text": "M\xfcller"}]}', "unicode"),
        ('{"resourceType": "Patient"}'.encode("utf-16"), "line 1 column 1"),
        (b'{"resourceType": "Patient", "name": [{"text": "\\ud800"}]}', "hex escape"),
        (b'{"resourceType": "Patient", "name": [{"text": "\x01"}]}', "control character"),
        (b"[" * 10_000, "recursion"),
        (b'{"extension": [' * 10_000, "recursion"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "recursion"),
        (b'{"resourceType": "Patient", "multipleBirthInteger": 1e99999999999999999999}', ""),
        (b'{"resourceType": "Patient", "multipleBirthInteger": ' + b"9" * 5000 + b"}", ""),
    ],
)
async def test_what_is_no_json_is_refused_with_its_place(
    client: httpx.AsyncClient, body: bytes, told: str
) -> None:
    assert told in refusal_of(await post(client, body), 400)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true", b"{}", b"1.5"])
async def test_json_that_is_no_resource_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    refusal_of(await post(client, body), 400)
    refusal_of(await post(client, body, ""), 400)


@pytest.mark.parametrize("name", ["1", '["Patient"]', "null", '"Nonsense"', '"patient"', '""'])
async def test_a_resource_of_no_type_is_refused(client: httpx.AsyncClient, name: str) -> None:
    refusal_of(await post(client, f'{{"resourceType": {name}}}'.encode()), 400)


@pytest.fixture
async def small(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A server that takes 2,000 bytes."""
    async with serving(Settings(max_body_bytes=2000, database_pool=2), database) as found:
        yield found


async def test_a_body_that_says_it_is_too_large_is_refused_unread(
    small: httpx.AsyncClient,
) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        sent += 1
        yield b" "

    headers = {"Content-Length": "2001"}
    answer = await small.post("Patient", content=body(), headers=headers)
    assert "2000" in refusal_of(answer, 413, "too-long")
    assert sent == 0


async def test_a_body_is_not_read_beyond_its_limit(small: httpx.AsyncClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 500

    refusal_of(await small.post("Patient", content=body()), 413)
    assert sent <= 6


async def test_a_body_within_the_limit_is_taken(small: httpx.AsyncClient) -> None:
    body = json.dumps(PATIENT).encode().ljust(2000)
    resource_of(await small.post("Patient", content=body), 201)


@pytest.mark.parametrize(
    "name",
    [
        "application/fhir+json",
        "application/json",
        "Application/FHIR+JSON; charset=UTF-8",
        'application/fhir+json;charset="utf-8"',
        "application/fhir+json; fhirVersion=4.0",
        "application/json+fhir",
        "text/json",
    ],
)
async def test_json_may_be_called_by_its_names(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("Patient", json=PATIENT, headers={"Content-Type": name})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "name",
    [
        "application/fhir+turtle",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json-patch+json",
        "application/fhir+json; charset=iso-8859-1",
        "application/fhir+json; fhirVersion=3.0",
        "",
        ";",
        "json/",
    ],
)
@pytest.mark.parametrize("path", ["Patient", ""])
async def test_another_content_type_is_refused(
    client: httpx.AsyncClient, name: str, path: str
) -> None:
    answer = await client.post(path, content=b"{}", headers={"Content-Type": name})
    refusal_of(answer, 415, "not-supported")


async def test_a_compressed_body_is_refused_for_what_it_is(client: httpx.AsyncClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    told = refusal_of(await client.post("Patient", content=b"\x1f\x8b", headers=headers), 415)
    assert "gzip" in told


@pytest.mark.parametrize(
    "path", ["nonsense", "Patient/nobody", "Patient?nonsense=1", "Patient?_format=ttl"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "PUT"])
async def test_every_refusal_is_an_operation_outcome(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path)
    if answer.status_code < 300:
        return
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert int(answer.headers["content-length"]) > 0
    if method != "HEAD":
        assert len(answer.content) == int(answer.headers["content-length"])
        refusal_of(answer, answer.status_code)


async def test_headers_of_a_version_agree_with_its_meta(client: httpx.AsyncClient) -> None:
    answer = await client.put("Patient/meta", json=PATIENT | {"id": "meta"})
    meta = resource_of(answer, 201)["meta"]
    assert answer.headers["etag"] == f'W/"{meta["versionId"]}"'
    modified = parsedate_to_datetime(answer.headers["last-modified"])
    assert modified.strftime("%Y-%m-%dT%H:%M:%S") == meta["lastUpdated"][:19]
    assert answer.headers["location"].startswith("http://test/fhir/Patient/meta/_history/")


async def test_links_follow_the_host_that_the_client_used(client: httpx.AsyncClient) -> None:
    host = {"Host": "fhir.example.org:8443"}
    answer = await client.post("Patient", json=PATIENT, headers=host)
    assert answer.headers["location"].startswith("http://fhir.example.org:8443/fhir/Patient/")
    bundle = (await client.get("Patient", headers=host)).json()
    assert bundle["link"][0]["url"] == "http://fhir.example.org:8443/fhir/Patient"
    assert bundle["entry"][0]["fullUrl"].startswith("http://fhir.example.org:8443/fhir/")


async def test_a_configured_base_url_outweighs_the_host(database: str) -> None:
    settings = Settings(base_url="https://fhir.example.org/r4/", database_pool=2)
    async with serving(settings, database, "http://10.0.0.1/fhir/") as client:
        answer = await client.post("Patient", json=PATIENT)
        assert answer.headers["location"].startswith("https://fhir.example.org/r4/Patient/")
        id_ = answer.json()["id"]
        body = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": f"https://fhir.example.org/r4/Patient/{id_}"},
        }
        await client.post("Observation", json=body)
        found = await client.get(f"Observation?subject=Patient/{id_}")
        assert found.json()["total"] == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb", False)],
)
async def test_a_request_id_is_given_back_or_made(
    client: httpx.AsyncClient, given: str, kept: bool
) -> None:
    for path in ("metadata", "nonsense"):
        answer = await client.get(path, headers={"X-Request-Id": given})
        assert (answer.headers["x-request-id"] == given) == kept
        assert len(answer.headers["x-request-id"]) >= 3


@pytest.mark.parametrize("path", ["Patient?_count=1", "Patient/nobody", "metadata"])
async def test_pretty_is_for_people_and_says_the_same(client: httpx.AsyncClient, path: str) -> None:
    mark = "&" if "?" in path else "?"
    pretty = await client.get(f"{path}{mark}_pretty=true")
    plain = await client.get(f"{path}{mark}_pretty=false")
    assert '\n  "resourceType"' in pretty.text
    assert "\n" not in plain.text
    assert pretty.json()["resourceType"] == plain.json()["resourceType"]
    assert int(pretty.headers["content-length"]) == len(pretty.content)


async def test_pretty_keeps_the_digits(client: httpx.AsyncClient) -> None:
    body = (
        b'{"resourceType":"Observation","id":"d","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":1.00}}'
    )
    await client.put("Observation/d", content=body)
    assert '"value": 1.00' in (await client.get("Observation/d?_pretty=true")).text


async def test_prefer_minimal_says_where_and_nothing_else(client: httpx.AsyncClient) -> None:
    headers = {"Prefer": "return=minimal"}
    answer = await client.put("Patient/min", json=PATIENT | {"id": "min"}, headers=headers)
    assert answer.status_code == 201
    assert answer.content == b""
    assert "content-type" not in answer.headers
    assert answer.headers["etag"]
    read = await client.get("Patient/min", headers=headers)
    assert read.json()["id"] == "min"


async def test_the_base_url_itself_may_end_with_a_slash_or_not(client: httpx.AsyncClient) -> None:
    body = {"resourceType": "Bundle", "type": "batch"}
    for url in ("http://test/fhir", "http://test/fhir/"):
        assert (await client.post(url, json=body)).status_code == 200


async def test_browsers_do_not_guess_the_type(client: httpx.AsyncClient) -> None:
    for path in ("metadata", "nonsense"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff"


async def test_a_request_that_takes_too_long_is_given_up(database: str) -> None:
    async with serving(Settings(request_timeout=0.0001, database_pool=2), database) as client:
        refusal_of(await client.get("Patient"), 503, "timeout")


async def test_a_header_given_twice_is_one_list(client: httpx.AsyncClient) -> None:
    """Proxies and clients may split a list over several header lines."""
    await client.put("Patient/twice", json=PATIENT | {"id": "twice"})
    preferences = [("Prefer", "handling=lenient"), ("Prefer", "return=minimal")]
    assert (await client.get("Patient?nonsense=1", headers=preferences)).status_code == 200
    tags = [("If-None-Match", 'W/"1"'), ("If-None-Match", 'W/"7"')]
    assert (await client.get("Patient/twice", headers=tags)).status_code == 304
