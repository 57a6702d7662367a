"""Definitions in a tenant's database: added, followed by releases, left to who changed them."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.packaged import folder
from fhir_server.provisioning.files import read_provided
from tests.indexing.workers import workers

PETS: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "id": "pets",
    "url": "urn:cs:pets",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "dog"}],
}
MORE = PETS | {"concept": [{"code": "dog"}, {"code": "cat"}]}


def write(directory: Path, content: dict[str, Any]) -> None:
    (directory / f"{content['id']}.json").write_text(json.dumps(content))


async def test_everything_that_comes_with_the_server_can_be_read_and_searched(
    own_database: str,
) -> None:
    provided = read_provided([folder("profiles")])
    async with workers(own_database, definition_folders=[folder("profiles")]) as (client,):
        for each in provided:
            found = await client.get("/".join(each.identity))
            assert found.status_code == 200, each.path
            stored = found.json()
            assert stored | {"meta": each.resource["meta"]} == each.resource
            assert stored["meta"]["versionId"] == "1"
            by_url = await client.get(f"{each.identity[0]}?url={each.resource['url']}")
            assert by_url.json()["total"] == 1


async def test_a_start_that_finds_nothing_new_writes_nothing(
    own_database: str, tmp_path: Path
) -> None:
    write(tmp_path, PETS)
    for _ in range(2):
        async with workers(own_database, 2, [tmp_path]) as clients:
            for client in clients:
                history = (await client.get("CodeSystem/pets/_history")).json()
                assert history["total"] == 1


async def test_what_nobody_changed_follows_the_release(own_database: str, tmp_path: Path) -> None:
    write(tmp_path, PETS)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        assert (await client.get("CodeSystem/pets")).json()["concept"] == [{"code": "dog"}]
    write(tmp_path, MORE)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        assert (await client.get("CodeSystem/pets")).json()["concept"] == MORE["concept"]
        answer = await client.get("CodeSystem/$lookup?system=urn:cs:pets&code=cat")
        assert answer.status_code == 200


async def test_what_is_provided_no_more_is_retired_until_it_comes_back(
    own_database: str, tmp_path: Path
) -> None:
    write(tmp_path, PETS)
    for folders, status, versions in (
        ([tmp_path], "active", 1),
        ([], "retired", 2),
        ([], "retired", 2),
        ([tmp_path], "active", 3),
    ):
        async with workers(own_database, 1, folders) as (client,):
            found = (await client.get("CodeSystem/pets")).json()
            assert (found["status"], found["meta"]["versionId"]) == (status, str(versions))


async def test_what_a_tenant_changed_stays_and_is_logged(
    own_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write(tmp_path, PETS)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        mine = (await client.get("CodeSystem/pets")).json()
        mine["concept"].append({"code": "newt"})
        assert (await client.put("CodeSystem/pets", json=mine)).status_code == 200
    write(tmp_path, MORE)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        kept = (await client.get("CodeSystem/pets")).json()
        assert [each["code"] for each in kept["concept"]] == ["dog", "newt"]
    assert any("CodeSystem/pets was changed" in each.getMessage() for each in caplog.records)
    (tmp_path / "pets.json").unlink()
    async with workers(own_database, 1, [tmp_path]) as (client,):
        assert (await client.get("CodeSystem/pets")).json() == kept


async def test_what_a_tenant_deleted_stays_away(own_database: str, tmp_path: Path) -> None:
    write(tmp_path, PETS)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        assert (await client.delete("CodeSystem/pets")).status_code == 204
    write(tmp_path, MORE)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        assert (await client.get("CodeSystem/pets")).status_code == 410


async def test_a_copy_of_a_definition_is_the_tenants_own(own_database: str, tmp_path: Path) -> None:
    write(tmp_path, PETS)
    async with workers(own_database, 1, [tmp_path]) as (client,):
        copy = (await client.get("CodeSystem/pets")).json() | {"id": "copy", "url": "urn:cs:copy"}
        assert (await client.put("CodeSystem/copy", json=copy)).status_code == 201
    async with workers(own_database, 1, [tmp_path]) as (client,):
        assert (await client.get("CodeSystem/copy")).status_code == 200


async def test_a_folder_of_the_settings_is_added_to_what_comes_with_the_server(
    own_database: str, tmp_path: Path
) -> None:
    write(tmp_path, PETS)
    async with workers(own_database, 1, None, profiles_dir=tmp_path) as (client,):
        assert (await client.get("CodeSystem/pets")).status_code == 200
        assert (await client.get("CodeSystem/modality")).status_code == 200
