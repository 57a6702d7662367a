"""What looks hostile and is legal: it is stored as it was meant."""

import httpx
import pytest

from tests.conftest import FHIR_JSON, RunningServer

_A = "urn:uuid:00000000-0000-4000-8000-00000000000a"
_B = "urn:uuid:00000000-0000-4000-8000-00000000000b"


def test_cycle_of_references_is_resolved(server: RunningServer) -> None:
    entries = [
        {
            "fullUrl": this,
            "resource": {
                "resourceType": "Organization",
                "name": "Circle",
                "partOf": {"reference": other},
            },
            "request": {"method": "POST", "url": "Organization"},
        }
        for this, other in [(_A, _B), (_B, _A)]
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    with httpx.Client(headers=FHIR_JSON) as client:
        answer = client.post(server.base_url, json=bundle).raise_for_status().json()
        ids = [
            entry["response"]["location"].partition("/_history")[0].rpartition("/")[2]
            for entry in answer["entry"]
        ]
        stored = [client.get(f"{server.base_url}/Organization/{id_}").json() for id_ in ids]
    parents = [found["partOf"]["reference"] for found in stored]
    assert parents == [f"Organization/{id_}" for id_ in reversed(ids)]


@pytest.mark.parametrize("depth", [1, 10])
def test_bundles_in_bundles_are_stored_and_not_carried_out(
    server: RunningServer, depth: int
) -> None:
    inner: dict[str, object] = {"resourceType": "Patient", "active": True}
    for _ in range(depth + 1):
        request = {"method": "POST", "url": inner["resourceType"]}
        entry = {"resource": inner, "request": request}
        inner = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    with httpx.Client(headers=FHIR_JSON) as client:
        before = client.get(f"{server.base_url}/Patient?_summary=count").json()["total"]
        created = client.post(f"{server.base_url}/Bundle", json=inner)
        assert created.status_code == 201
        read = client.get(created.headers["location"]).json()
        after = client.get(f"{server.base_url}/Patient?_summary=count").json()["total"]
    assert read["entry"] == inner["entry"]
    assert after == before


@pytest.mark.parametrize("id_", ["a.b", "..a", "-", ".", "1.2.3", "A-" * 32])
def test_dots_and_hyphens_are_letters_of_an_id(server: RunningServer, id_: str) -> None:
    url = f"{server.base_url}/Basic/{id_.replace('.', '%2E')}"
    body = {"resourceType": "Basic", "id": id_, "code": {"text": "odd"}}
    assert httpx.put(url, json=body, headers=FHIR_JSON).status_code == 201
    assert httpx.get(url).json()["id"] == id_
