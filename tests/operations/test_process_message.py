"""$process-message."""

from typing import Any

import httpx
import pytest

from fhir_server.operations.message_events import SYSTEM
from tests.answers import diagnostics_of, refusal_of, resource_of
from tests.interactions.searching import observation
from tests.operations.calling import Json, answered

PROVIDE = {"eventCoding": {"system": SYSTEM, "code": "provide"}}
PATIENT_URL = "urn:uuid:0d9ff5cc-4d0c-4b5f-9b30-2b8a0b6f0001"


def header(**more: Any) -> Json:
    source = {"name": "Lab", "endpoint": "http://lab.example.org/in"}
    return {"resourceType": "MessageHeader", "id": "m1", "source": source, **more}


def message(*resources: Json, urls: tuple[str, ...] = (), **more: Any) -> Json:
    entries: list[Json] = [{"resource": each} for each in resources]
    for entry, full_url in zip(entries[1:], urls, strict=False):
        entry["fullUrl"] = full_url
    return {"resourceType": "Bundle", "type": "message", "entry": entries, **more}


async def sent(client: httpx.AsyncClient, body: Json) -> tuple[Json, Json]:
    """The header of the response, and the outcome it refers to."""
    answer = await client.post("$process-message", json=body)
    bundle = answered("MessageHeader-process-message", answer)
    assert bundle["type"] == "message"
    (head, outcome) = bundle["entry"]
    assert head["resource"]["resourceType"] == "MessageHeader"
    assert head["resource"]["response"]["details"]["reference"] == outcome["fullUrl"]
    return head["resource"], outcome["resource"]


async def test_what_a_message_provides_is_stored_with_its_references(
    client: httpx.AsyncClient,
) -> None:
    owner = {
        "resourceType": "Patient",
        "id": "theirs",
        "identifier": [{"system": "http://example.org/mrn", "value": "a|b,c"}],
    }
    result = observation("1", subject={"reference": PATIENT_URL})
    body = message(header(**PROVIDE), owner, result, urls=(PATIENT_URL,))
    head, outcome = await sent(client, body)
    assert head["response"]["identifier"] == "m1"
    assert head["response"]["code"] == "ok"
    assert head["destination"] == [{"name": "Lab", "endpoint": "http://lab.example.org/in"}]
    assert head["source"]["endpoint"] == "http://test/fhir/$process-message"
    assert "Stored http://test/fhir/Patient/" in diagnostics_of(outcome)
    found = resource_of(await client.get("Observation?_include=Observation:subject"))
    stored, patient = (entry["resource"] for entry in found["entry"])
    assert patient["id"] != "theirs"
    assert stored["subject"]["reference"] == f"Patient/{patient['id']}"
    await sent(client, message(header(**PROVIDE), owner | {"active": True}))
    patients = resource_of(await client.get("Patient"))
    assert [entry["resource"]["active"] for entry in patients["entry"]] == [True]


async def test_a_message_is_stored_whole_or_not_at_all(client: httpx.AsyncClient) -> None:
    before = resource_of(await client.get("Device?_summary=count"))["total"]
    lost = observation("1", subject={"reference": PATIENT_URL})
    head, outcome = await sent(client, message(header(**PROVIDE), {"resourceType": "Device"}, lost))
    assert head["response"]["code"] == "fatal-error"
    assert PATIENT_URL in diagnostics_of(outcome)
    assert resource_of(await client.get("Device?_summary=count"))["total"] == before


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"eventCoding": {"system": "http://x", "code": "admit"}}, "'http://x|admit'"),
        ({"eventUri": "http://example.org/event"}, "'http://example.org/event'"),
    ],
)
async def test_an_unknown_event_is_answered_as_an_error(
    client: httpx.AsyncClient, event: Json, named: str
) -> None:
    head, outcome = await sent(client, message(header(**event)))
    assert head["response"]["code"] == "fatal-error"
    assert {name: head[name] for name in event} == event
    told = diagnostics_of(outcome, "not-supported")
    assert named in told
    assert f"{SYSTEM}|provide" in told


RESPONSE = {"response": {"identifier": "x", "code": "ok"}}


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (message(header(**PROVIDE), type="collection"), "invalid", "'collection'"),
        (message({"resourceType": "Patient"}), "required", "MessageHeader"),
        (message(), "required", "MessageHeader"),
        (message(header(**PROVIDE, **RESPONSE)), "not-supported", "is a response"),
        ({"resourceType": "Patient"}, "invalid", "takes a Bundle"),
    ],
)
async def test_what_is_no_message_is_refused(
    client: httpx.AsyncClient, body: Json, code: str, told: str
) -> None:
    if body.get("entry") == []:
        del body["entry"]
    assert told in refusal_of(await client.post("$process-message", json=body), 400, code)


@pytest.mark.parametrize("query", ["async=true", "response-url=http://x"])
async def test_messages_are_not_answered_later(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.post(f"$process-message?{query}", json=message(header(**PROVIDE)))
    assert query.partition("=")[0] in refusal_of(answer, 400, "not-supported")


async def test_only_post_sends_messages(client: httpx.AsyncClient) -> None:
    assert (await client.get("$process-message")).headers["allow"] == "POST"
