"""Which paths and methods lead somewhere, and what the others are told."""

import httpx
import pytest

from fhir_server.interactions.registry import INTERACTIONS
from tests.answers import refusal_of

PATIENT = {"resourceType": "Patient"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "", {"GET", "HEAD", "POST"}),
        ("PUT", "metadata", {"GET", "HEAD"}),
        ("POST", "_history", {"GET", "HEAD"}),
        ("GET", "_search", {"POST"}),
        ("GET", "Patient/_search", {"POST"}),
        ("PATCH", "Patient/a/_history", {"GET", "HEAD"}),
        ("POST", "Patient/a", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("DELETE", "Patient/a/_history/1", {"GET", "HEAD"}),
        ("PROPFIND", "Patient/a", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("OPTIONS", "Patient", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    told = refusal_of(answer, 405, "not-supported")
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert all(name in told for name in allowed)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("patient", "Patient"), ("Patients", "Patient"), ("Obsevation", "Observation")],
)
async def test_an_unknown_type_is_told_the_nearest_one(
    client: httpx.AsyncClient, name: str, suggestion: str
) -> None:
    told = refusal_of(await client.get(name), 404, "not-supported")
    assert f"{name!r}" in told
    assert suggestion in told


@pytest.mark.parametrize("name", ["Resource", "DomainResource", "HumanName", "string", "Foo"])
async def test_what_cannot_be_stored_is_no_type(client: httpx.AsyncClient, name: str) -> None:
    refusal_of(await client.get(name), 404, "not-supported")
    refusal_of(await client.post(name, json={"resourceType": name}), 404, "not-supported")


@pytest.mark.parametrize("path", ["$export", "Patient/$match", "Patient/a/$nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_operation_is_named(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    told = refusal_of(await client.request(method, path), 404, "not-supported")
    assert path.rpartition("/")[2] in told


@pytest.mark.parametrize(
    "path",
    [
        "Patient/a/b",
        "Patient/a/_history/1/2",
        "Patient/_history/1",
        "metadata/x",
        "_history/1",
        "Patient//a",
        "Patient/a/Observation/b/c",
        "_nonsense",
    ],
)
async def test_other_paths_lead_nowhere(client: httpx.AsyncClient, path: str) -> None:
    refusal_of(await client.get(path), 404)


async def test_a_slash_at_the_end_does_not_matter(client: httpx.AsyncClient) -> None:
    await client.put("Patient/a/", json=PATIENT | {"id": "a"})
    for path in ("Patient/", "Patient/a/", "metadata/", "Patient/a/_history/"):
        assert (await client.get(path)).status_code == 200


HOSTILE = [
    "..",
    "../..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    ".",
    "-",
    "'",
    "' or 1=1 --",
    "a'; drop table resource; --",
    '"',
    "%",
    "%s",
    "%(id)s",
    "{s}",
    "{0}",
    "\0",
    "a\0b",
    "\n",
    "\x7f",
    "é",
    "\ufffe",
    "\U0010ffff",
    "x" * 5000,
    "9" * 400,
    "null",
    "*",
    "<script>",
    "${jndi:ldap://x}",
    "\\x00",
    "\\u0000",
    "0x00",
    "1e999",
    "-1",
    "|",
    "||",
    "|||",
    "$",
    "\\",
    "\\,",
    ",",
    ":",
    "#",
    "?",
    "&",
    "=",
    ";",
    "+",
    " ",
]


PARAMETERS = (
    "_id", "_lastUpdated", "_count", "_cursor", "_elements", "_summary", "_total", "_format",
    "_pretty", "_profile", "_tag", "_since", "_at", "name", "name:exact", "name:contains",
    "name:nonsense", "identifier", "identifier:not", "identifier:of-type", "birthdate",
    "general-practitioner", "general-practitioner:identifier", "organization:Organization",
    "nonsense",
)  # fmt: skip


def encoded(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_text_in_any_place_is_answered_without_failure(
    client: httpx.AsyncClient, text: str
) -> None:
    part = encoded(text)
    requests = [
        ("GET", part),
        ("GET", f"Patient/{part}"),
        ("DELETE", f"Patient/{part}"),
        ("PUT", f"Patient/{part}"),
        ("GET", f"Patient/{part}/_history"),
        ("GET", f"Patient/a/_history/{part}"),
        ("GET", f"Patient/a/{part}"),
        ("GET", f"Patient?{part}={part}"),
        ("GET", f"_history?{part}={part}"),
        ("DELETE", f"Patient?name={part}"),
        ("PUT", f"Patient?name={part}"),
    ]
    requests += [("GET", f"Patient?{name}={part}") for name in PARAMETERS]
    requests += [
        ("GET", f"_history?_since={part}"),
        ("GET", f"_history?_at={part}"),
        ("GET", f"RiskAssessment?probability={part}"),
        ("GET", f"Observation?value-quantity={part}"),
        ("GET", f"ValueSet?url={part}"),
    ]
    for method, path in requests:
        body = {"resourceType": "Patient", "id": "a"} if method == "PUT" else None
        answer = await client.request(method, path, json=body)
        assert answer.status_code < 500, (method, path, answer.text)
        assert answer.status_code != 415
        if answer.status_code >= 400:
            refusal_of(answer, answer.status_code)


@pytest.mark.parametrize(
    "header",
    ["If-Match", "If-None-Match", "If-None-Exist", "If-Modified-Since", "Prefer", "X-Request-Id"],
)
async def test_hostile_text_in_a_header_is_answered_without_failure(
    client: httpx.AsyncClient, header: str
) -> None:
    for text in HOSTILE:
        if "\n" in text or "\0" in text:
            continue
        headers = [
            (b"Content-Type", b"application/fhir+json"),
            (header.encode(), text.strip().encode()),
        ]
        for method, path in (("GET", "Patient/a"), ("PUT", "Patient/h"), ("POST", "Patient")):
            body = {"resourceType": "Patient", "id": "h"} if method != "GET" else None
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code < 500, (method, text, answer.text)


async def test_every_interaction_of_the_registry_is_reached(client: httpx.AsyncClient) -> None:
    await client.put("Patient/reached", json=PATIENT | {"id": "reached"})
    for item in INTERACTIONS:
        path = item.path.replace("[type]", "Patient").replace("[id]", "reached")
        path = path.replace("[vid]", "1")
        answer = await client.request(item.method, path, headers={"Content-Type": "text/plain"})
        assert answer.status_code not in (404, 405, 500), item.name
        refused = item.body in ("resource", "patch")
        assert answer.status_code == 415 if refused else answer.status_code < 415
