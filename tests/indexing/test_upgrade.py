"""A database of a former release: its entries are made anew before anything is searched by them."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server.search.extract import FORMAT
from fhir_server.storage.migrate import migrate
from tests.conftest import fresh_database
from tests.indexing.workers import (
    holding_writes,
    ids,
    index_status,
    parameter,
    until_complete,
    workers,
)

MOST = 250
INSERT = """
insert into tenant_default.resource
  (rid, type, id, version, last_updated, method, reference_key, keys, content)
values (%s, %s, %s, 1, '2026-01-02', 'PUT', %s, '{1,2}', %s)"""


def patient(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "gender": ("male", "female")[number % 2],
        "name": [{"family": f"Family{number}"}],
    }


@pytest.fixture
def former(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database as the first release left it, with patients and search parameters in it."""
    with fresh_database(postgres, "former_" + request.node.name[:50]) as url:
        migrate(url, to="0001")
        resources = [patient(number) for number in range(MOST)]
        good = parameter("own", "Patient.name.family", "string") | {"id": "good"}
        bad = parameter("gender", "Patient.id") | {"id": "bad"}
        with psycopg.connect(url) as connection:
            for rid, item in enumerate([*resources, good, bad], 1):
                row = (rid, item["resourceType"], item["id"], rid, json.dumps(item))
                connection.execute(INSERT, row)
            # What the former release entered for a search that means something else now.
            connection.execute(
                "insert into tenant_default.string_value (rid, parameter, value) "
                "select rid, 5, 'old' from tenant_default.resource"
            )
            connection.execute("select setval('tenant_default.row_id', 1001)")
        migrate(url)
        yield url


async def formats(database: str) -> tuple[int, int]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute("select format, target from tenant_default.index_state")
        row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


async def test_searches_are_refused_until_every_resource_was_read_again(former: str) -> None:
    assert await formats(former) == (1, 1)
    async with holding_writes(former), workers(former, 2) as clients:
        one, other = clients
        for client in clients:
            for query in ("Patient?gender=male", "Patient", "Patient?_id=p1", "?_type=Patient"):
                answer = await client.get(query)
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
                assert answer.json()["issue"][0]["code"] == "transient"
                assert "made anew" in answer.text
        await still_works(one)
        refused = await one.put("Patient?family=x", json={"resourceType": "Patient"})
        assert refused.status_code == 503, refused.text
        status = await index_status(other)
        assert (status["complete"], status["searchable"]) == (False, False)
        assert await formats(former) == (1, FORMAT)
        # Neither does the end of one worker keep the others from doing the work.
    async with workers(former, 2) as clients:
        await until_complete(*clients)
        assert await formats(former) == (FORMAT, FORMAT)
        one, other = clients
        evens = {f"p{number}" for number in range(0, MOST, 2)}
        assert await ids(other, "Patient?gender=male&_count=300") == evens
        assert await ids(one, "Patient?name=family17&_count=300") >= {"p17", "p170"}
        assert await ids(one, "Patient?gender=other") == {"written"}
        assert await ids(one, "Patient?own=family249") == {"p249"}
        assert set((await index_status(one))["parameters"]) == {"own"}
    async with await psycopg.AsyncConnection.connect(former) as connection:
        cursor = await connection.execute(
            "select count(*) from tenant_default.string_value where value = 'old'"
        )
        assert await cursor.fetchone() == (0,)


async def still_works(client: httpx.AsyncClient) -> None:
    assert (await client.get("Patient/p1")).status_code == 200
    assert (await client.get("Patient/p1/_history")).status_code == 200
    new = {"resourceType": "Patient", "id": "written", "gender": "other"}
    assert (await client.put("Patient/written", json=new)).status_code == 201
    assert (await client.get("metadata")).status_code == 200


async def test_an_empty_database_is_in_the_newest_format_at_once(database: str) -> None:
    assert await formats(database) == (1, 1)
    async with workers(database) as (client,):
        assert (await client.get("Patient?gender=male")).status_code == 200
        assert await formats(database) == (FORMAT, FORMAT)


async def test_a_process_of_a_former_release_writes_no_more(postgres: str) -> None:
    with fresh_database(postgres, "newer_format") as url:
        migrate(url)
        async with workers(url) as (client,):
            assert (await client.get("Patient?gender=male")).status_code == 200
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(
                    "update tenant_default.index_state "
                    "set generation = generation + 1, target = target + 1"
                )
            answer = await client.post("Patient", json={"resourceType": "Patient"})
            assert answer.status_code == 503, answer.text
            async with asyncio.timeout(5):
                while (await client.get("Patient?gender=male")).status_code == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (await client.get("Patient?gender=male")).status_code == 503


async def test_a_resource_that_cannot_be_read_is_counted_and_stops_nothing(
    former: str, caplog: pytest.LogCaptureFixture
) -> None:
    concept = {"coding": [{"code": str(code)} for code in range(60)]}
    many = {
        "resourceType": "Observation",
        "id": "many",
        "status": "final",
        "code": {"text": "x"},
        "component": [{"code": concept, "valueCodeableConcept": concept}] * 8,
    }
    with psycopg.connect(former) as connection:
        connection.execute(INSERT, (900, "Observation", "many", 900, json.dumps(many)))
    caplog.set_level("INFO")
    async with workers(former) as (client,):
        await until_complete(client)
        assert await ids(client, "Patient?gender=male&_count=300") != set()
        assert (await client.get("Observation/many")).status_code == 200
    (end,) = [
        item for item in caplog.records if item.getMessage() == "the search index is complete"
    ]
    assert vars(end)["resources"] == MOST + 3
    assert vars(end)["failed"] == 1
