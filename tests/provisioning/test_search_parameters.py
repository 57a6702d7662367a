"""SearchParameters that come with the server as files."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fhir_server.provisioning.files import read_provided
from tests.indexing.workers import (
    ids,
    index_status,
    parameter,
    searchable,
    until_complete,
    workers,
)


def write(directory: Path, name: str, resource: dict[str, Any]) -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(resource))
    return path


async def test_a_parameter_of_the_server_is_as_good_as_built_in(
    own_database: str, tmp_path: Path
) -> None:
    async with workers(own_database) as (client,):
        patient = {
            "resourceType": "Patient",
            "id": "a",
            "maritalStatus": {"text": "x"},
            "language": "de",
        }
        await client.put("Patient/a", json=patient)
    write(tmp_path, "deep/spoken.json", parameter("spoken", "Patient.language"))
    write(tmp_path, "other.json", {"resourceType": "ValueSet", "status": "active"})
    async with workers(own_database, 2, definition_folders=[tmp_path]) as clients:
        for client in clients:
            await searchable(client, "Patient?spoken=de")
            assert await ids(client, "Patient?spoken=de") == {"a"}
        generation = (await index_status(clients[0]))["generation"]
        clash = parameter("spoken", "Patient.language")
        refused = await clients[0].post("SearchParameter", json=clash)
        assert refused.status_code == 422
    async with workers(own_database, definition_folders=[tmp_path]) as (client,):
        assert (await client.get("Patient?spoken=de")).status_code == 200, "indexed once more"
        assert (await index_status(client))["generation"] == generation


async def test_a_set_that_changed_is_indexed_anew_at_the_start(
    own_database: str, tmp_path: Path
) -> None:
    spoken = parameter("spoken", "Patient.language")
    path = write(tmp_path, "spoken.json", spoken)
    async with workers(own_database, definition_folders=[tmp_path]) as (client,):
        patient = {"resourceType": "Patient", "id": "a", "gender": "male", "language": "de"}
        await client.put("Patient/a", json=patient)
        await searchable(client, "Patient?spoken=de")
    write(tmp_path, "spoken.json", spoken | {"expression": "Patient.gender"})
    write(tmp_path, "more.json", parameter("more", "Patient.id"))
    async with workers(own_database, definition_folders=[tmp_path]) as (client,):
        await until_complete(client)
        await searchable(client, "Patient?spoken=male")
        assert await ids(client, "Patient?spoken=male") == {"a"}
        assert await ids(client, "Patient?spoken=de") == set()
        assert await ids(client, "Patient?more=a") == {"a"}
    path.unlink()
    async with workers(own_database, definition_folders=[tmp_path]) as (client,):
        assert (await client.get("Patient?spoken=male")).status_code == 400
        assert (await client.get("Patient?more=a")).status_code == 200
        await until_complete(client)
        assert set((await index_status(client))["parameters"]) == {"more"}


async def test_one_that_the_tenant_has_otherwise_has_no_effect_and_is_logged(
    own_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with workers(own_database) as (client,):
        own = parameter("spoken", "Patient.gender")
        assert (await client.post("SearchParameter", json=own)).status_code == 201
        await until_complete(client)
    packaged = parameter("spoken", "Patient.language")
    write(tmp_path, "spoken.json", packaged)
    async with workers(own_database, definition_folders=[tmp_path]) as (client,):
        assert (await client.get("Patient?spoken=male")).status_code == 200
    assert any(packaged["url"] in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([parameter("a", "Patient.shoes")], "shoes"),
        ([parameter("gender", "Patient.id")], "individual-gender"),
        ([parameter("a", "Patient.id") | {"status": "unheard"}], "unheard"),
        ([parameter("a", "Patient.id"), parameter("a", "Patient.gender")], "already"),
        ([parameter("a", "Patient", "composite")], "component"),
    ],
)
def test_a_file_that_could_not_be_posted_ends_the_start(
    tmp_path: Path, resources: list[dict[str, Any]], said: str
) -> None:
    paths = [write(tmp_path, f"{number}.json", item) for number, item in enumerate(resources)]
    with pytest.raises(ValueError, match=said) as error:
        read_provided([tmp_path])
    assert str(paths[-1]) in str(error.value)


def test_a_url_in_two_files_ends_the_start(tmp_path: Path) -> None:
    one = parameter("a", "Patient.id")
    write(tmp_path, "a.json", one)
    write(tmp_path, "b.json", one)
    with pytest.raises(ValueError, match=r"a\.json"):
        read_provided([tmp_path])


async def test_workers_that_start_together_agree(own_database: str, tmp_path: Path) -> None:
    write(tmp_path, "spoken.json", parameter("spoken", "Patient.language"))

    async def start() -> int:
        async with workers(own_database, definition_folders=[tmp_path]) as (client,):
            await until_complete(client)
            return int((await index_status(client))["generation"])

    assert await asyncio.gather(*(start() for _ in range(4))) == [1] * 4
    with psycopg.connect(own_database) as connection:
        rows = connection.execute("select state from tenant_default.search_parameter").fetchall()
    assert rows == [("ready",)]
