"""What is found by contained resources follows each write of their containers."""

import asyncio
from typing import Any

import httpx
import psycopg
import pytest

from tests.answers import resource_of
from tests.interactions.bundles import entry, send, statuses, urn
from tests.interactions.searching import containing, finds, observation, patient

SEARCH = "Patient?_contained=true&family="


def box(id_: str, *names: str) -> dict[str, Any]:
    """A container of patients, the first of whom it is about."""
    inside = [
        patient(f"p{number}", name=[{"family": name}], birthDate=f"19{70 + number}")
        for number, name in enumerate(names)
    ]
    subject = {"subject": {"reference": "#p0"}} if names else {}
    return containing(observation(id_, **subject), *inside)


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    answer = await client.put(f"Observation/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text


async def rows(database: str, id_: str) -> dict[str, int]:
    """How many rows a resource has in the tables of contained resources and of dates."""
    found = {}
    async with await psycopg.AsyncConnection.connect(database) as connection:
        for table, column in (("contained", "container"), ("date_value", "rid")):
            cursor = await connection.execute(
                f"select count(*) from tenant_default.{table} t join tenant_default.resource r "
                f"on r.rid = t.{column} where r.id = %s",
                (id_,),
            )
            row = await cursor.fetchone()
            assert row is not None
            found[table] = row[0]
    return found


async def test_an_update_replaces_what_was_contained(
    client: httpx.AsyncClient, database: str
) -> None:
    await put(client, box("u", "upone", "uptwo"))
    await finds(client, f"{SEARCH}uptwo&birthdate=1971", "u")
    await put(client, box("u", "uptwo"))
    await finds(client, f"{SEARCH}upone", "")
    await finds(client, f"{SEARCH}uptwo", "u")
    await finds(client, f"{SEARCH}uptwo&birthdate=1971", "")
    await finds(client, "Observation?subject:Patient.family=uptwo", "u")
    assert await rows(database, "u") == {"contained": 1, "date_value": 1}
    await put(client, box("u"))
    await finds(client, f"{SEARCH}uptwo", "")
    await finds(client, "Observation?subject:Patient.family=uptwo", "")
    assert await rows(database, "u") == {"contained": 0, "date_value": 0}


async def test_a_patch_changes_what_is_contained(client: httpx.AsyncClient) -> None:
    await put(client, box("patched", "before"))
    operation = {"op": "replace", "path": "/contained/0/name/0/family", "value": "afterwards"}
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await client.patch("Observation/patched", json=[operation], headers=headers)
    assert answer.status_code == 200, answer.text
    await finds(client, f"{SEARCH}before", "")
    await finds(client, f"{SEARCH}afterwards", "patched")


async def test_a_delete_removes_what_was_contained(
    client: httpx.AsyncClient, database: str
) -> None:
    await put(client, box("d", "doomed"))
    await finds(client, f"{SEARCH}doomed", "d")
    assert (await client.delete("Observation/d")).status_code in (200, 204)
    await finds(client, f"{SEARCH}doomed", "")
    await finds(client, "Patient?_contained=both&_id=p0&family=doomed", "")
    assert await rows(database, "d") == {"contained": 0, "date_value": 0}
    await put(client, box("d", "reborn"))
    await finds(client, f"{SEARCH}reborn", "d")


async def test_a_post_and_a_conditional_one_are_found(client: httpx.AsyncClient) -> None:
    body = box("x", "posted") | {"identifier": [{"value": "n1"}]}
    del body["id"]
    answer = await client.post("Observation", json=body)
    assert answer.status_code == 201
    id_ = resource_of(answer, 201)["id"]
    await finds(client, f"{SEARCH}posted", id_)
    await finds(client, "Observation?subject:Patient.family=posted", id_)
    again = await client.post("Observation", json=body, headers={"If-None-Exist": "identifier=n1"})
    assert again.status_code == 200
    await finds(client, f"{SEARCH}posted", id_)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_bundles_create_update_and_delete(
    client: httpx.AsyncClient, database: str, kind: str
) -> None:
    old, gone = f"{kind}-old", f"{kind}-gone"
    await put(client, box(old, f"{kind}old"))
    await put(client, box(gone, f"{kind}gone"))
    answers = await send(
        client,
        kind,
        entry("POST", "Observation", box("x", f"{kind}one", f"{kind}two"), urn(1)),
        entry("PUT", f"Observation/{kind}-put", box(f"{kind}-put", f"{kind}put")),
        entry("PUT", f"Observation/{old}", box(old, f"{kind}new")),
        entry("DELETE", f"Observation/{gone}"),
    )
    assert [status // 100 for status in statuses(answers)] == [2, 2, 2, 2]
    created = answers[0]["response"]["location"].split("/")[-3]
    await finds(client, f"{SEARCH}{kind}two&birthdate=1971", created)
    await finds(client, f"{SEARCH}{kind}one&birthdate=1971", "")
    await finds(client, f"Observation?subject:Patient.family={kind}one", created)
    await finds(client, f"{SEARCH}{kind}put", f"{kind}-put")
    await finds(client, f"{SEARCH}{kind}new", old)
    await finds(client, f"{SEARCH}{kind}old", "")
    await finds(client, f"{SEARCH}{kind}gone", "")
    assert await rows(database, created) == {"contained": 2, "date_value": 2}


async def test_a_transaction_that_fails_leaves_nothing(client: httpx.AsyncClient) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            entry("PUT", "Observation/never", box("never", "neverman")),
            entry("PUT", "Observation/stale", box("stale"), ifMatch='W/"7"'),
        ],
    }
    assert (await client.post("", json=bundle)).status_code in (409, 412)
    await finds(client, f"{SEARCH}neverman", "")


async def test_writers_at_once_leave_the_rows_of_the_last_version(
    client: httpx.AsyncClient, database: str
) -> None:
    await put(client, box("r", "start"))
    bodies = [box("r", *(f"racer{number}" for _ in range(number % 3 + 1))) for number in range(12)]
    await asyncio.gather(
        *(client.put("Observation/r", json=body) for body in bodies), return_exceptions=True
    )
    last = resource_of(await client.get("Observation/r"))["contained"]
    name = last[0]["name"][0]["family"]
    await finds(client, f"{SEARCH}{name}", "r")
    await finds(client, f"{SEARCH}racer", "r")
    number = len(last)
    assert await rows(database, "r") == {"contained": number, "date_value": number}
