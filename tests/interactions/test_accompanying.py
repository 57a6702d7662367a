"""X-Provenance: a Provenance that comes with a write."""

import json
from typing import Any

import httpx
import pytest

Json = dict[str, Any]

PROVENANCE: Json = {
    "resourceType": "Provenance",
    "recorded": "2026-11-21T10:00:00Z",
    "agent": [{"who": {"display": "Zoë"}}],
}


def header(content: Any = PROVENANCE) -> dict[str, str]:
    return {"X-Provenance": json.dumps(content)}


def patient(id_: str, **content: Any) -> Json:
    return {"resourceType": "Patient", "id": id_} | content


async def provenances(client: httpx.AsyncClient, id_: str) -> list[Json]:
    """Those of a patient's versions, the oldest first."""
    answer = await client.get(f"Provenance?target=Patient/{id_}&_sort=_id")
    found = [entry["resource"] for entry in answer.json().get("entry", [])]
    return sorted(found, key=lambda each: str(each["target"]))


async def test_each_write_has_its_provenance(client: httpx.AsyncClient) -> None:
    answer = await client.post("Patient", json={"resourceType": "Patient"}, headers=header())
    assert answer.status_code == 201
    assert answer.json()["resourceType"] == "Patient"
    id_ = answer.json()["id"]
    answer = await client.put(f"Patient/{id_}", json=patient(id_, active=True), headers=header())
    assert answer.status_code == 200
    patch = [{"op": "replace", "path": "/active", "value": False}]
    headers = header() | {"Content-Type": "application/json-patch+json"}
    assert (await client.patch(f"Patient/{id_}", json=patch, headers=headers)).status_code == 200
    assert (await client.delete(f"Patient/{id_}", headers=header())).status_code == 204
    found = await provenances(client, id_)
    assert [each["target"] for each in found] == [
        [{"reference": f"Patient/{id_}/_history/{version}"}] for version in (1, 2, 3, 4)
    ]
    assert all(each["agent"] == PROVENANCE["agent"] for each in found)


async def test_what_makes_no_version_has_none(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.put("Patient/same", json=patient("same"), headers=header())
        assert answer.status_code in (200, 201)
    assert len(await provenances(client, "same")) == 1


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"resourceType": "Patient"},
        PROVENANCE | {"target": [{"reference": "Patient/x"}]},
        PROVENANCE | {"recorded": "yesterday"},
        {"resourceType": "Provenance"},
    ],
    ids=["no-object", "another-type", "with-a-target", "malformed", "incomplete"],
)
async def test_an_invalid_one_is_refused_and_nothing_written(
    client: httpx.AsyncClient, content: Any
) -> None:
    answer = await client.put("Patient/refused", json=patient("refused"), headers=header(content))
    assert answer.status_code == 400
    assert "X-Provenance" in answer.json()["issue"][0]["diagnostics"]
    assert (await client.get("Patient/refused")).status_code == 404


async def test_what_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"X-Provenance": "{"}
    answer = await client.put("Patient/refused", json=patient("refused"), headers=headers)
    assert answer.status_code == 400
    assert "X-Provenance" in answer.json()["issue"][0]["diagnostics"]


async def test_a_write_that_is_refused_leaves_no_provenance(client: httpx.AsyncClient) -> None:
    await client.put("Patient/matched", json=patient("matched"))
    headers = header() | {"If-Match": 'W/"7"'}
    answer = await client.put(
        "Patient/matched", json=patient("matched", active=True), headers=headers
    )
    assert answer.status_code == 412
    assert await provenances(client, "matched") == []


async def test_with_what_writes_no_single_resource_it_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("Patient", headers=header())).status_code == 400
    bundle = {"resourceType": "Bundle", "type": "transaction"}
    assert (await client.post("", json=bundle, headers=header())).status_code == 400
