"""What many writers at once must never do: store twice, lose a version, leave half."""

import asyncio
from collections import Counter
from typing import Any

import httpx

WRITERS = 64


async def count(client: httpx.AsyncClient, search: str) -> int:
    answer = await client.get(f"{search}&_summary=count")
    return int(answer.json()["total"])


async def test_parallel_conditional_creates_make_one_resource(client: httpx.AsyncClient) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}]}
    answers = await asyncio.gather(
        *(
            client.post("Patient", json=patient, headers={"If-None-Exist": "identifier=urn:mrn|1"})
            for _ in range(WRITERS)
        )
    )
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 1, 200: WRITERS - 1}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count(client, "Patient?identifier=urn:mrn|1") == 1


async def test_parallel_updates_make_a_gapless_history(client: httpx.AsyncClient) -> None:
    async def update(number: int) -> httpx.Response:
        body = {"resourceType": "Patient", "id": "many", "name": [{"family": f"F{number}"}]}
        return await client.put("Patient/many", json=body)

    answers = await asyncio.gather(*map(update, range(WRITERS)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 201, 409, 412}
    assert statuses[201] == 1
    history = (await client.get(f"Patient/many/_history?_count={WRITERS}")).json()
    versions = [int(entry["resource"]["meta"]["versionId"]) for entry in history["entry"]]
    assert versions == list(range(statuses[200] + statuses[201], 0, -1))
    times = [entry["resource"]["meta"]["lastUpdated"] for entry in history["entry"]]
    assert times == sorted(set(times), reverse=True)
    names = {entry["resource"]["name"][0]["family"] for entry in history["entry"]}
    assert len(names) == len(versions)


async def test_parallel_updates_with_one_tag_let_one_through(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"resourceType": "Patient", "id": "tagged"}
    await client.put("Patient/tagged", json=body)

    async def update(number: int) -> int:
        changed = body | {"name": [{"family": f"F{number}"}]}
        answer = await client.put("Patient/tagged", json=changed, headers={"If-Match": 'W/"1"'})
        return answer.status_code

    statuses = Counter(await asyncio.gather(*map(update, range(16))))
    assert statuses == {200: 1, 412: 15}


async def test_parallel_conditional_updates_make_one_resource(client: httpx.AsyncClient) -> None:
    async def update(number: int) -> int:
        identifier = {"system": "urn:mrn", "value": "2"}
        body = {"resourceType": "Patient", "identifier": [identifier], "birthDate": f"19{number}"}
        answer = await client.put("Patient?identifier=urn:mrn|2", json=body)
        return answer.status_code

    statuses = Counter(await asyncio.gather(*map(update, range(10, 42))))
    assert statuses[201] == 1
    assert set(statuses) <= {200, 201, 409, 412}
    assert await count(client, "Patient?identifier=urn:mrn|2") == 1


def transaction(number: int) -> dict[str, Any]:
    """A Bundle that brings its patient along, as laboratories do."""
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "3"}]}
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": f"number {number}"},
        "subject": {"reference": "urn:uuid:0d1b5f0e-0000-4000-8000-000000000001"},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:0d1b5f0e-0000-4000-8000-000000000001",
                "resource": patient,
                "request": {
                    "method": "POST",
                    "url": "Patient",
                    "ifNoneExist": "identifier=urn:mrn|3",
                },
            },
            {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        ],
    }


async def test_parallel_transactions_share_the_patient_they_create_conditionally(
    client: httpx.AsyncClient,
) -> None:
    answers = await asyncio.gather(
        *(client.post("", json=transaction(number)) for number in range(WRITERS))
    )
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 409}
    found = (await client.get("Patient?identifier=urn:mrn|3")).json()
    assert found["total"] == 1
    patient = found["entry"][0]["resource"]["id"]
    stored = await count(client, f"Observation?subject=Patient/{patient}")
    assert stored == statuses[200]


async def test_parallel_transactions_over_the_same_resources_do_not_block_each_other(
    client: httpx.AsyncClient,
) -> None:
    """Each Bundle names the same resources in another order."""

    async def send(number: int) -> int:
        ids = [f"shared-{(number + offset) % 8}" for offset in range(8)]
        entries = [
            {
                "resource": {
                    "resourceType": "Patient",
                    "id": id_,
                    "name": [{"family": f"F{number}"}],
                },
                "request": {"method": "PUT", "url": f"Patient/{id_}"},
            }
            for id_ in ids
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return (await client.post("", json=bundle)).status_code

    statuses = Counter(await asyncio.gather(*map(send, range(24))))
    assert set(statuses) <= {200, 409}
    search = (await client.get("Patient?_id=" + ",".join(f"shared-{n}" for n in range(8)))).json()
    names = {entry["resource"]["name"][0]["family"] for entry in search["entry"]}
    versions = {entry["resource"]["meta"]["versionId"] for entry in search["entry"]}
    assert len(search["entry"]) == 8
    assert len(names) == 1
    assert versions == {str(statuses[200])}


async def test_delete_and_updates_at_once_leave_a_readable_history(
    client: httpx.AsyncClient,
) -> None:
    async def act(number: int) -> int:
        if number % 4 == 0:
            return (await client.delete("Patient/contested")).status_code
        body = {"resourceType": "Patient", "id": "contested", "name": [{"family": f"F{number}"}]}
        return (await client.put("Patient/contested", json=body)).status_code

    statuses = await asyncio.gather(*map(act, range(40)))
    assert set(statuses) <= {200, 201, 204, 409}
    history = (await client.get("Patient/contested/_history?_count=100")).json()
    tags = [entry["response"]["etag"] for entry in history["entry"]]
    assert tags == [f'W/"{number}"' for number in range(len(tags), 0, -1)]
    for entry in history["entry"]:
        assert ("resource" in entry) == (entry["request"]["method"] != "DELETE")
