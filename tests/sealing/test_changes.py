"""What is stored is sealed anew when elements or keys change, and everything else goes on."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server.cli import main
from fhir_server.sealing import tenants
from fhir_server.sealing.master import COMMAND, create_key_file
from tests.sealing.serving import places_of, serving, settled
from tests.sealing.test_master import SERVICE

SENTINEL = "zyxsentinel"


def condition(code: str = SENTINEL, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://s", "code": code, "display": f"{code} display"}]},
        "note": [{"text": f"{code} note"}],
        **more,
    }


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "master"
    create_key_file(path)
    return path


async def filled(client: httpx.AsyncClient) -> None:
    """Conditions, current and superseded, deleted, and in another resource."""
    for number in range(120):
        await client.put(f"Condition/c{number}", json=condition(id=f"c{number}"))
    await client.put("Condition/c0", json=condition(f"{SENTINEL}-new", id="c0"))
    await client.delete("Condition/c1")
    request = {
        "resourceType": "DeviceUseStatement",
        "id": "d",
        "status": "active",
        "subject": {"reference": "Patient/p"},
        "device": {"reference": "#x"},
        "contained": [{"resourceType": "Device", "id": "x"}, condition(id="inner")],
        "bodySite": {"text": "x"},
        "reasonReference": [{"reference": "#inner"}],
    }
    assert (await client.put("DeviceUseStatement/d", json=request)).status_code == 201


async def found(client: httpx.AsyncClient, query: str) -> int:
    answer = await client.get(f"{query}&_summary=count")
    async with asyncio.timeout(30):
        # This process hears a moment later of what the database says already.
        while answer.status_code == 503:
            await asyncio.sleep(0.05)
            answer = await client.get(f"{query}&_summary=count")
    assert answer.status_code == 200, answer.text
    total: int = answer.json()["total"]
    return total


async def test_what_is_stored_is_sealed_when_it_is_switched_on_and_opened_when_it_is_off(
    own_database: str, key_file: Path
) -> None:
    database = own_database
    async with serving(database, None) as client:
        await filled(client)
        assert await found(client, f"Condition?code={SENTINEL}") == 118
        assert await found(client, "Condition?code:text=zyx") == 119
        plain = (await client.get("Condition/c2")).json()
    assert {"resource.content", "history.content", "vocabulary.value"} <= set(
        places_of(database, SENTINEL)
    )

    async with serving(database, "default", key_file) as client:
        status = await settled(client)
        assert status["sealed"]["valueBoolean"], status
        assert places_of(database, SENTINEL) == []
        assert await found(client, f"Condition?code={SENTINEL}") == 118
        assert await found(client, f"Condition?code={SENTINEL}-new") == 1
        assert (await client.get("Condition/c2")).json() == plain
        history = (await client.get("Condition/c0/_history")).json()
        assert [each["resource"]["note"][0]["text"] for each in history["entry"]] == [
            f"{SENTINEL}-new note",
            f"{SENTINEL} note",
        ]
        outer = (await client.get("DeviceUseStatement/d")).json()
        assert outer["contained"][1]["code"]["coding"][0]["code"] == SENTINEL
        inner = "DeviceUseStatement?reason:Condition.code"
        assert (await client.get(f"{inner}={SENTINEL}")).status_code in (200, 400)
        assert (await client.get("Condition?code:text=zyx")).status_code == 400

    async with serving(database, None, key_file) as client:
        status = await settled(client)
        assert status["sealed"]["valueBoolean"], status
        assert places_of(database, "~sealed") == []
        assert (await client.get("Condition/c2")).json() == plain
        assert await found(client, "Condition?code:text=zyx") == 119
        assert await found(client, f"Condition?code={SENTINEL}") == 118


async def test_searches_wait_until_everything_is_sealed(own_database: str, key_file: Path) -> None:
    async with serving(own_database, None) as client:
        await filled(client)
    # An open transaction may still store something in the clear.
    async with await psycopg.AsyncConnection.connect(own_database) as writer:
        await writer.execute("create table tenant_default.anything ()")
        async with serving(own_database, "default", key_file) as client:
            answer = await client.get(f"Condition?code={SENTINEL}")
            assert answer.status_code == 503
            text = answer.json()["issue"][0]["diagnostics"]
            assert "'code' of Condition finds is being encrypted" in text
            assert answer.headers["Retry-After"]
            assert await found(client, "Condition?subject=Patient/p") == 119
            status = (await client.get("$index-status")).json()
            by_name = {each["name"]: each for each in status["parameter"]}
            assert by_name["sealing"]["valueString"].startswith("changing: ")
            # Meanwhile what is written is sealed, and what is read is whole.
            await client.put("Condition/now", json=condition("unheardof", id="now"))
            assert places_of(own_database, "unheardof") == []
            assert (await client.get("Condition/now")).json()["note"][0]["text"] == "unheardof note"
            await writer.rollback()
            assert (await settled(client))["sealed"]["valueBoolean"]
            assert await found(client, f"Condition?code={SENTINEL}") == 118


def numbers_of(database: str) -> set[str]:
    """The keys by which what is stored is sealed."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "select distinct split_part(content->>'~sealed', '.', 2) from ("
            "select content from tenant_default.resource union all "
            "select content from tenant_default.history) c where content ? '~sealed'"
        ).fetchall()
    return {number for (number,) in rows}


def keys(*words: str, database: str, key_file: Path) -> int:
    return main(
        ["keys", *words, "--database-url", database, "--seal-keys", str(key_file)],
    )


async def test_keys_are_rotated_in_the_background(
    own_database: str,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tenants, "HEARD_WITHIN", timedelta(seconds=0.5))
    async with serving(own_database, "default", key_file) as client:
        await filled(client)
        assert numbers_of(own_database) == {"1"}
        for options, data, last in (((), "3", "3"), (("--search",), "4", "5")):
            done = await asyncio.to_thread(
                keys, "rotate", *options, database=own_database, key_file=key_file
            )
            assert done == 0, capsys.readouterr().err
            assert f"key {data} encrypts soon" in capsys.readouterr().out
            assert (await settled(client))["sealed"]["valueBoolean"]
            assert numbers_of(own_database) == {data}
            assert await found(client, f"Condition?code={SENTINEL}") == 118
            await asyncio.to_thread(keys, "status", database=own_database, key_file=key_file)
            lines = capsys.readouterr().out.splitlines()
            assert lines[0].startswith("default\tready\t")
            assert lines[-1].startswith(f"default\tkey {last}\t")
            assert "default\tkey 1\tdata\tretired" in "\n".join(lines)
        history = (await client.get("Condition/c0/_history")).json()
        assert history["entry"][1]["resource"]["note"][0]["text"] == f"{SENTINEL} note"


@pytest.mark.parametrize("lost", [True, False])
async def test_keys_are_not_rotated_without_the_right_master_key(
    own_database: str,
    key_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    lost: bool,
) -> None:
    another = tmp_path / "another"
    create_key_file(another)
    async with serving(own_database, "default", key_file) as client:
        words = ["keys", "rotate", "--database-url", own_database]
        words += [] if lost else ["--seal-keys", str(another)]
        assert await asyncio.to_thread(main, words) == 1
        assert "keys cannot be had" in capsys.readouterr().err
        assert (await client.put("Condition/c", json=condition(id="c"))).status_code == 201
        assert numbers_of(own_database) == {"1"}


async def test_writers_and_readers_go_on_while_keys_are_rotated(
    own_database: str, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "HEARD_WITHIN", timedelta(seconds=0.3))
    over = asyncio.Event()

    async def write(client: httpx.AsyncClient, id_: str) -> int:
        count = 0
        while not over.is_set():
            count += 1
            body = condition(f"{SENTINEL}-{id_}-{count}", id=id_)
            answer = await client.put(f"Condition/{id_}", json=body)
            assert answer.status_code in (200, 201), answer.text
            found = (await client.get(f"Condition/{id_}")).json()
            assert found["note"][0]["text"] == f"{SENTINEL}-{id_}-{count} note"
        return count

    async with serving(own_database, "default", key_file) as client:
        writers = [asyncio.create_task(write(client, f"w{number}")) for number in range(3)]
        for _ in range(2):
            done = await asyncio.to_thread(
                keys, "rotate", "--search", database=own_database, key_file=key_file
            )
            assert done == 0
            assert (await settled(client))["sealed"]["valueBoolean"], "writers are chased"
        over.set()
        counts = await asyncio.gather(*writers)
        assert (await settled(client))["sealed"]["valueBoolean"]
        assert numbers_of(own_database) == {"5"}
        assert places_of(own_database, SENTINEL) == []
        for number, count in enumerate(counts):
            assert await found(client, f"Condition?code={SENTINEL}-w{number}-{count}") == 1
            assert await found(client, f"Condition?code={SENTINEL}-w{number}-1") == (count == 1)


async def test_keys_move_from_a_file_to_a_key_service(
    own_database: str, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = key_service(tmp_path)
    async with serving(own_database, "default", key_file) as client:
        await client.put("Condition/c", json=condition(id="c"))
        done = await asyncio.to_thread(
            keys, "move", service, database=own_database, key_file=key_file
        )
        assert done == 0, capsys.readouterr().err
        assert "2 keys are wrapped by command:" in capsys.readouterr().out
    async with serving(own_database, "default", service) as client:
        assert (await client.get("Condition/c")).json()["note"][0]["text"] == f"{SENTINEL} note"
        assert await found(client, f"Condition?code={SENTINEL}") == 1


def key_service(folder: Path) -> str:
    file = folder / "service.py"
    file.write_text(SERVICE)
    return f"{COMMAND}{sys.executable} {file}"


def forget_the_old_key(key_file: Path) -> None:
    newest, _ = key_file.read_bytes().splitlines()
    key_file.write_bytes(newest)


async def test_a_new_master_key_takes_the_old_ones_place(own_database: str, key_file: Path) -> None:
    async with serving(own_database, "default", key_file) as client:
        await client.put("Condition/c", json=condition(id="c"))
    create_key_file(key_file)
    async with serving(own_database, "default", key_file) as client:
        assert (await client.get("Condition/c")).status_code == 200
    forget_the_old_key(key_file)
    async with serving(own_database, "default", key_file) as client:
        assert (await client.get("Condition/c")).json()["code"]["coding"][0]["code"] == SENTINEL


@asynccontextmanager
async def sealed_once(database: str, key_file: Path) -> AsyncIterator[None]:
    async with serving(database, "default", key_file) as client:
        await client.put("Patient/p", json={"resourceType": "Patient", "id": "p"})
        await client.put("Condition/c", json=condition(id="c"))
        await client.put("Condition/other", json=condition(id="other"))
    yield


@pytest.mark.parametrize("lost", [True, False])
async def test_without_the_right_key_what_is_sealed_is_refused(
    own_database: str, key_file: Path, tmp_path: Path, lost: bool
) -> None:
    another = tmp_path / "another"
    create_key_file(another)
    async with (
        sealed_once(own_database, key_file),
        serving(own_database, None if lost else "default", None if lost else another) as client,
    ):
        for path in ("Condition/c", "Condition/c/_history", "Condition?code=a"):
            answer = await client.get(path)
            assert answer.status_code == 503, answer.text
            assert "encrypted at rest and their keys cannot be had" in answer.text
            assert "~sealed" not in answer.text
        answer = await client.put("Condition/c", json=condition(id="c"))
        assert answer.status_code == 503


CHANGES = {
    "moved": "update tenant_default.resource r set content = jsonb_set(r.content, '{~sealed}', "
    "o.content->'~sealed') from tenant_default.resource o "
    "where r.id = 'c' and o.id = 'other' and o.type = 'Condition'",
    "changed": "update tenant_default.resource set content = jsonb_set(content, '{~sealed}', "
    "to_jsonb(overlay(content->>'~sealed' placing 'AAAA' from 30))) where id = 'c'",
    "emptied": "update tenant_default.resource set content = "
    "jsonb_set(content, '{~sealed}', '\"\"') where id = 'c'",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_somebody_changed_in_the_database_is_refused_and_not_shown(
    own_database: str, key_file: Path, change: str
) -> None:
    async with sealed_once(own_database, key_file):
        with psycopg.connect(own_database, autocommit=True) as connection:
            assert connection.execute(CHANGES[change]).rowcount == 1
    async with serving(own_database, "default", key_file) as client:
        answer = await client.get("Condition/c")
        assert answer.status_code == 500
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        assert "Condition/c cannot be opened" in outcome["issue"][0]["diagnostics"]
        assert (await client.get("Condition/other")).status_code == 200


async def test_another_policy_takes_the_place_of_the_one_before(
    own_database: str, key_file: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"elements": {"Condition": ["note"]}}))
    async with serving(own_database, "default", key_file) as client:
        await filled(client)
    async with serving(own_database, str(policy), key_file) as client:
        assert (await settled(client))["sealed"]["valueBoolean"]
        assert places_of(own_database, f"{SENTINEL} note") == []
        assert "resource.content" in places_of(own_database, f"{SENTINEL} display")
        assert await found(client, "Condition?code:text=zyx") == 119
    now = datetime.now(UTC)
    with psycopg.connect(own_database) as connection:
        rows = connection.execute("select created from tenant_default.data_key").fetchall()
    assert len(rows) == 2
    assert all(created < now for (created,) in rows)
