"""What the trail tells of each access and change, as AuditEvents."""

from base64 import b64decode
from typing import Any

import httpx
import pytest

Json = dict[str, Any]


async def put(client: httpx.AsyncClient, type_: str, id_: str, **content: Any) -> None:
    answer = await client.put(f"{type_}/{id_}", json={"resourceType": type_, "id": id_} | content)
    assert answer.status_code in (200, 201), answer.text


async def put_observation(client: httpx.AsyncClient, id_: str, patient: str) -> None:
    await put(
        client,
        "Observation",
        id_,
        status="final",
        code={"text": "pulse"},
        subject={"reference": f"Patient/{patient}"},
    )


async def events(client: httpx.AsyncClient, query: str) -> list[Json]:
    """What a search of AuditEvents finds, newest first."""
    answer = await client.get(f"AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def interaction(event: Json) -> str:
    return str(event["subtype"][-1]["code"])


def references(event: Json) -> list[str]:
    whats = [entity.get("what", {}) for entity in event.get("entity", [])]
    return [what["reference"] for what in whats if "reference" in what]


async def test_a_read_tells_who_from_where_and_which_version(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "a")
    answer = await client.get("Patient/a", headers={"X-Request-Id": "read-1"})
    assert answer.status_code == 200
    event, change = await events(client, "entity=Patient/a")
    assert event["action"] == "R"
    assert event["outcome"] == "0"
    assert event["type"]["code"] == "rest"
    assert [each["code"] for each in event["subtype"]] == ["read", "read"]
    assert event["agent"][0]["altId"] == "local administrator"
    assert event["agent"][0]["network"] == {"address": "127.0.0.1", "type": "2"}
    assert references(event) == ["Patient/a/_history/1"]
    assert event["entity"][-1]["what"] == {"identifier": {"value": "read-1"}}
    assert change["action"] == "C"


async def test_a_change_tells_the_old_version_and_the_new_one(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "b")
    await put(client, "Patient", "b", active=True)
    await client.delete("Patient/b")
    deletion, update, creation = await events(client, "entity=Patient/b")
    assert [each["action"] for each in (creation, update, deletion)] == ["C", "U", "D"]
    assert references(update) == ["Patient/b/_history/2"]
    assert update["entity"][0]["detail"] == [
        {"type": "superseded", "valueString": "Patient/b/_history/1"}
    ]
    assert references(deletion) == ["Patient/b/_history/3"]
    assert "detail" not in creation["entity"][0]


async def test_who_looked_at_a_patient_is_one_search(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "c")
    await put(client, "Patient", "other")
    await put_observation(client, "c1", "c")
    await put_observation(client, "o1", "other")
    looks = [
        "Patient/c",
        "Patient?_id=c",
        "Observation/c1",
        "Observation?_id=c1",
        "Observation?_id=c1&_elements=code",
        "Observation/c1/_history",
        "Observation/c1/_history/1",
        "Observation?patient=c&status=cancelled",
        "Observation?subject=Patient/c&status=cancelled",
        "Observation?subject:Patient=c&status=cancelled",
        "Patient/c/Observation?status=cancelled",
        "Patient/c/$everything",
    ]
    for look in looks:
        assert (await client.get(look)).status_code == 200, look
    await client.get("Observation/o1")
    found = await events(client, "patient=Patient/c&action=R,E&_count=100")
    assert len(found) == len(looks)
    assert {interaction(each) for each in found} == {
        "read", "vread", "search", "search-compartment", "history-instance",
        "Patient-everything-instance",
    }  # fmt: skip
    # The same in the compartment of the patient, where everything is theirs.
    answer = await client.get("Patient/c/AuditEvent?action=R,E&interaction=x")
    assert answer.status_code == 400
    answer = await client.get("Patient/c/AuditEvent?action=R&_total=accurate")
    assert answer.json()["total"] >= 4


async def test_a_search_tells_what_was_asked_and_what_it_showed(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "d")
    await put_observation(client, "d1", "d")
    await client.get("Observation", params={"_id": "d1", "_include": "Observation:subject"})
    (event,) = await events(client, "entity=Observation/d1&subtype=search-type")
    assert event["action"] == "E"
    queries = [b64decode(each["query"]).decode() for each in event["entity"] if "query" in each]
    assert queries == ["Observation?_id=d1&_include=Observation%3Asubject"]
    assert set(references(event)) == {"Observation/d1", "Patient/d"}
    roles = {
        each["what"]["reference"]: each["role"]["code"]
        for each in event["entity"]
        if "reference" in each.get("what", {})
    }
    assert roles == {"Patient/d": "1", "Observation/d1": "4"}


async def test_what_was_deleted_since_was_looked_at(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "e")
    await put_observation(client, "e1", "e")
    await client.get("Observation/e1")
    await client.delete("Observation/e1")
    found = await events(client, "patient=Patient/e&entity=Observation/e1")
    assert [interaction(each) for each in found] == ["delete", "read", "update"]


async def test_each_entry_of_a_bundle_is_an_event(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "f")
    for kind in ("batch", "transaction"):
        entries = [
            {"request": {"method": "GET", "url": "Patient/f"}},
            {
                "request": {"method": "PUT", "url": f"Patient/f-{kind}"},
                "resource": {"resourceType": "Patient", "id": f"f-{kind}"},
            },
        ]
        body = {"resourceType": "Bundle", "type": kind, "entry": entries}
        headers = {"X-Request-Id": f"bundle-{kind}"}
        assert (await client.post("", json=body, headers=headers)).status_code == 200
        (write,) = await events(client, f"entity=Patient/f-{kind}")
        assert write["action"] == "C"
        read = (await events(client, "entity=Patient/f"))[0]
        assert interaction(read) == "read"
        for event in (write, read):
            assert event["entity"][-1]["what"] == {"identifier": {"value": f"bundle-{kind}"}}


async def test_what_was_not_there_is_told_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("Patient/nobody")).status_code == 404
    (event,) = await events(client, "entity=Patient/nobody")
    assert event["outcome"] == "4"
    assert event["outcomeDesc"] == "not-found 404"
    assert await events(client, "entity=Patient/nobody&subtype=read&outcome=0") == []


@pytest.mark.parametrize("path", ["metadata", "../health/live", "../health/ready", "../metrics"])
async def test_what_shows_nothing_of_anybody_is_no_event(
    client: httpx.AsyncClient, path: str
) -> None:
    before = (await client.get("AuditEvent?_summary=count")).json()["total"]
    assert (await client.get(path)).status_code == 200
    # The count itself is one.
    assert (await client.get("AuditEvent?_summary=count")).json()["total"] == before + 1


async def test_an_event_is_read_by_its_id(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "g")
    (event,) = await events(client, "entity=Patient/g")
    url = f"AuditEvent/{event['id']}"
    assert (await client.get(url)).json() == event
    assert (await client.get(f"{url}/_history/1")).json() == event
    history = (await client.get(f"{url}/_history")).json()
    assert [entry["resource"] for entry in history["entry"]] == [event]
    assert (await client.get(f"{url}/_history/2")).status_code == 404
    assert (await client.get("AuditEvent/trail-999999999")).status_code == 404
    assert (await client.get(f"{url}?_elements=recorded")).json()["recorded"] == event["recorded"]


async def test_an_event_cannot_be_changed(client: httpx.AsyncClient) -> None:
    await put(client, "Patient", "h")
    (event,) = await events(client, "entity=Patient/h")
    url = f"AuditEvent/{event['id']}"
    assert (await client.put(url, json=event)).status_code == 405
    assert (await client.delete(url)).status_code == 405
    patch = [{"op": "replace", "path": "/outcome", "value": "4"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert (await client.patch(url, json=patch, headers=headers)).status_code in (404, 405)
    for method in ("PUT", "DELETE"):
        entry: Json = {"request": {"method": method, "url": url}, "resource": event}
        body = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        assert (await client.post("", json=body)).status_code in (400, 405)
    assert (await client.get(url)).json() == event
