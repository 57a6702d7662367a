"""What is sealed is nowhere in the database, and everywhere where it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server.sealing.master import create_key_file
from tests.sealing.serving import places_of, serving

SENTINEL = "zyxsentinel"
SYSTEM = "http://codes.example/zyxsentinel-system"


def coded(**more: Any) -> dict[str, Any]:
    coding = {"system": SYSTEM, "code": f"{SENTINEL}-code", "display": f"{SENTINEL} display"}
    return {"coding": [coding], "text": f"{SENTINEL} text", **more}


def condition(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/p"},
        "code": coded(),
        "note": [{"text": f"{SENTINEL} note", "time": "2026-03-01"}],
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{SENTINEL}</div>',
        },
        **more,
    }


def coverage(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Coverage",
        "status": "active",
        "identifier": [{"system": "http://policies", "value": f"{SENTINEL}-policy"}],
        "subscriberId": f"{SENTINEL}-subscriber",
        "policyHolder": {"display": f"{SENTINEL} holder", "identifier": {"value": SENTINEL}},
        "beneficiary": {"reference": "Patient/p"},
        "payor": [{"display": f"{SENTINEL} payor"}],
        **more,
    }


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "master"
    create_key_file(path)
    return path


@pytest.fixture(scope="module")
async def sealing(database: str, key_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(database, "default", key_file) as client:
        await client.put("Patient/p", json={"resourceType": "Patient", "id": "p"})
        yield client


async def made(client: httpx.AsyncClient, resource: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(resource["resourceType"], json=resource)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def without_stamp(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}


async def test_what_came_by_any_door_is_nowhere_in_the_database(
    sealing: httpx.AsyncClient, database: str
) -> None:
    first = await made(sealing, condition())
    place = f"Condition/{first['id']}"
    first["note"].append({"text": f"{SENTINEL} again"})
    assert (await sealing.put(place, json=first)).status_code == 200
    patch = [{"op": "add", "path": "/note/-", "value": {"text": f"{SENTINEL} patched"}}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert (await sealing.patch(place, json=patch, headers=headers)).status_code == 200
    assert (await sealing.put("Condition/own", json=condition(id="own"))).status_code == 201
    assert (await sealing.delete("Condition/own")).status_code == 204
    headers = {"If-None-Exist": f"identifier=http://policies|{SENTINEL}-policy"}
    for status in (201, 200):
        answer = await sealing.post("Coverage", json=coverage(), headers=headers)
        assert answer.status_code == status
    for kind, count in (("batch", 2), ("transaction", 3), ("transaction", 20)):
        entry = {"resource": condition(), "request": {"method": "POST", "url": "Condition"}}
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry] * count}
        answer = await sealing.post("", json=bundle)
        assert answer.status_code == 200, answer.text
    await made(
        sealing,
        {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/p"},
            "medicationCodeableConcept": {"text": "m"},
            "reasonCode": [coded()],
            "insurance": [{"reference": "#c"}],
            "contained": [coverage(id="c")],
        },
    )
    await made(
        sealing,
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": condition()}]},
    )
    await made(
        sealing,
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/p"},
            "reasonCode": [coded()],
            "diagnosis": [{"condition": {"reference": place, "display": SENTINEL}}],
        },
    )
    await made(
        sealing,
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "description": SENTINEL,
            "content": [{"attachment": {"title": SENTINEL, "contentType": "text/plain"}}],
        },
    )
    assert places_of(database, SENTINEL) == []
    # What is not sealed would be seen.
    assert {"resource.content", "history.content"} <= set(places_of(database, "Patient/p"))
    found = (await sealing.get(place)).json()
    assert [each["text"] for each in found["note"]] == [
        f"{SENTINEL} note",
        f"{SENTINEL} again",
        f"{SENTINEL} patched",
    ]


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/fhir+xml"])
async def test_every_way_out_gives_it_in_the_clear(sealing: httpx.AsyncClient, accept: str) -> None:
    own = await made(sealing, condition(encounter={"display": accept}))
    place = f"Condition/{own['id']}"
    await made(
        sealing,
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "diagnosis": [{"condition": {"reference": place}}],
        },
    )
    for path in (
        place,
        f"{place}/_history/1",
        f"{place}/_history",
        "Condition/_history",
        "_history",
        f"Condition?_id={own['id']}",
        f"Condition?_id={own['id']}&_elements=code",
        f"Encounter?diagnosis={place}&_include=Encounter:diagnosis",
        "Patient?_id=p&_revinclude=Condition:subject",
        "Patient/p/Condition?_count=1000",
        "Patient/p/$everything?_count=1000",
    ):
        answer = await sealing.get(path, headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        assert SENTINEL in answer.text, path
        assert "~sealed" not in answer.text, path
    same = await sealing.get(place)
    assert without_stamp(same.json()) == without_stamp(own)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"Condition?code={SENTINEL}-only", True),
        (f"Condition?code={SYSTEM}|{SENTINEL}-only", True),
        (f"Condition?code=|{SENTINEL}-only", False),
        ("Condition?code=another", False),
        (f"Encounter?diagnosis:Condition.code={SENTINEL}-only", True),
        (f"Patient?_has:Condition:subject:code={SENTINEL}-only", True),
        (f"Coverage?identifier=http://policies|{SENTINEL}-only", True),
        (f"Coverage?policy-holder:identifier={SENTINEL}-only", True),
        (f"MedicationRequest?_has:Nothing:at:all={SENTINEL}", None),
        ("Condition?code:text=zyx", None),
        ("Condition?_content=zyxsentinel", None),
        ("Condition?_sort=code", None),
    ],
)
async def test_whole_values_are_found_and_parts_refused(
    sealing: httpx.AsyncClient, query: str, found: bool | None
) -> None:
    system = {"system": SYSTEM, "code": f"{SENTINEL}-only"}
    headers = {"If-None-Exist": f"code={SENTINEL}-only"}
    resource = condition(code={"coding": [system]})
    answer = await sealing.post("Condition", json=resource, headers=headers)
    if answer.status_code == 201:
        place = f"Condition/{answer.json()['id']}"
        await made(
            sealing,
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"code": "AMB"},
                "diagnosis": [{"condition": {"reference": place}}],
            },
        )
        identifier = [{"system": "http://policies", "value": f"{SENTINEL}-only"}]
        holder = {"identifier": {"value": f"{SENTINEL}-only"}}
        await made(sealing, coverage(identifier=identifier, policyHolder=holder))
    answer = await sealing.get(query)
    if found is None:
        assert answer.status_code == 400, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
    else:
        assert answer.status_code == 200, answer.text
        assert len(answer.json().get("entry", [])) == found


async def test_the_audit_trail_does_not_tell_the_values_either(
    own_database: str, key_file: Path, tmp_path: Path
) -> None:
    queries = [
        f"Condition?code={SENTINEL}&subject=Patient/p",
        f"Encounter?diagnosis:Condition.code={SENTINEL}",
        f"Condition?code:text={SENTINEL}",
    ]
    async with serving(own_database, "default", key_file, tmp_path / "audit") as client:
        for query in queries:
            await client.get(query)
        await made(client, condition())
        noted: list[tuple[str]] = []
        while len(noted) < len(queries):
            await asyncio.sleep(0.1)
            with psycopg.connect(own_database) as connection:
                noted = connection.execute(
                    "select query from tenant_default.audit_event "
                    "where query <> '' and type in ('Condition', 'Encounter')"
                ).fetchall()
        assert ("code=%2A%2A%2A&subject=Patient%2Fp",) in noted
        assert places_of(own_database, SENTINEL) == []


async def test_numbers_keep_their_digits(sealing: httpx.AsyncClient) -> None:
    text = (
        '{"resourceType":"Coverage","status":"active","beneficiary":{"reference":"Patient/p"},'
        '"payor":[{"display":"x"}],"costToBeneficiary":[{"valueMoney":{"value":1.50E+3}},'
        '{"valueMoney":{"value":0.000000100}}]}'
    )
    answer = await sealing.post("Coverage", content=text)
    assert answer.status_code == 201, answer.text
    found = await sealing.get(f"Coverage/{answer.json()['id']}")
    assert '"value":1.50E+3' in found.text
    assert '"value":0.000000100' in found.text


async def test_a_client_cannot_store_what_looks_like_a_ciphertext(
    sealing: httpx.AsyncClient,
) -> None:
    answer = await sealing.post("Condition", json=condition(**{"~sealed": "1.1.AAAA"}))
    assert answer.status_code == 400
    assert "~sealed" in answer.text


async def test_an_update_that_changes_nothing_makes_no_version(sealing: httpx.AsyncClient) -> None:
    own = await made(sealing, condition())
    answer = await sealing.put(f"Condition/{own['id']}", json=own)
    assert answer.json()["meta"]["versionId"] == "1"
