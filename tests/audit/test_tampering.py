"""Rows of the trail that somebody changes in the database: refused, and found if forced."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server.audit.chain import Link, chained
from fhir_server.audit.keys import Remembered
from fhir_server.storage.migrate import migrate
from fhir_server.storage.schema import APPEND_ONLY
from tests.audit.conftest import audited, client_of
from tests.conftest import fresh_database

Json = dict[str, Any]

_COLUMNS = "recorded, action, interaction, outcome, reason, principal, client, roles, fhir_user, "
_COLUMNS += "address, door, request_id, type, id, version, old_version, keys, query"


@pytest.fixture
def own_database(postgres: str) -> Iterator[str]:
    """A database of the test's own, to be tampered with."""
    with fresh_database(postgres, "tampered") as url:
        migrate(url)
        yield url


@pytest.fixture
async def client(own_database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has read a patient ten times."""
    async with audited(own_database, tmp_path) as app, client_of(app) as found:
        await found.put("Patient/a", json={"resourceType": "Patient", "id": "a"})
        for _ in range(10):
            assert (await found.get("Patient/a")).status_code == 200
        yield found


async def verified(client: httpx.AsyncClient, query: str = "") -> Json:
    """What $verify-audit tells, by name."""
    answer = await client.get(f"$verify-audit{query}")
    assert answer.status_code == 200, answer.text
    return {
        part["name"]: next((part[key] for key in part if key.startswith("value")), part.get("part"))
        for part in answer.json()["parameter"]
    }


def problem(told: Json) -> tuple[str, int]:
    assert told["valid"] is False
    code, event, _ = told["problem"]
    return code["valueCode"], event["valueInteger"]


@contextmanager
def superuser(url: str) -> Iterator["psycopg.Connection[Any]"]:
    """Whoever may do everything, and has switched off what keeps the rows as they are."""
    with psycopg.connect(url) as connection:
        connection.execute("set search_path to tenant_default")
        connection.execute("set session_replication_role to replica")
        yield connection


async def test_a_trail_as_it_was_written_is_valid(client: httpx.AsyncClient) -> None:
    told = await verified(client)
    assert told["valid"] is True
    assert told["events"] > 11
    assert told["checkpoints"] >= 1
    assert told["unverifiable-checkpoints"] == 0
    assert (await verified(client, "?start=5"))["events"] == told["events"] + 1 - 4


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
@pytest.mark.parametrize("statement", ["update {} set seq = seq", "delete from {}", "truncate {}"])
async def test_nobody_changes_a_row_while_the_trigger_is_there(
    client: httpx.AsyncClient, own_database: str, table: str, statement: str
) -> None:
    await verified(client)
    with psycopg.connect(own_database) as connection:
        connection.execute("set search_path to tenant_default")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added"):
            connection.execute(statement.format(table))


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
@pytest.mark.parametrize(
    "statement",
    [
        "update {} set seq = seq",
        "delete from {}",
        "truncate {}",
        "alter table {} disable trigger all",
        "drop table {}",
    ],
)
async def test_the_role_of_the_server_is_refused(
    own_database: str, table: str, statement: str
) -> None:
    with psycopg.connect(own_database) as connection:
        row = connection.execute("select role from fhir_server.tenant").fetchone()
        assert row is not None
        connection.execute(f'set role "{row[0]}"')
        connection.execute("set search_path to tenant_default")
        connection.execute(f"select * from {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            connection.execute(statement.format(table))
        assert "only ever added" not in str(refused.value)


async def test_a_changed_row_is_found(client: httpx.AsyncClient, own_database: str) -> None:
    await verified(client)
    with superuser(own_database) as connection:
        connection.execute("update audit_event set principal = 'somebody else' where seq = 4")
    assert problem(await verified(client)) == ("changed", 4)


async def test_a_deleted_row_is_found(client: httpx.AsyncClient, own_database: str) -> None:
    await verified(client)
    with superuser(own_database) as connection:
        connection.execute("delete from audit_event where seq = 4")
    assert problem(await verified(client)) == ("missing", 4)


async def test_rows_in_another_order_are_found(
    client: httpx.AsyncClient, own_database: str
) -> None:
    await verified(client)
    with superuser(own_database) as connection:
        for old, new in ((4, -1), (5, 4), (-1, 5)):
            connection.execute("update audit_event set seq = %s where seq = %s", (new, old))
    assert problem(await verified(client)) == ("changed", 4)


async def test_an_inserted_row_is_found(client: httpx.AsyncClient, own_database: str) -> None:
    await verified(client)
    with superuser(own_database) as connection:
        connection.execute("update audit_event set seq = seq + 1000000 where seq >= 4")
        connection.execute("update audit_event set seq = seq - 999999 where seq >= 1000000")
        connection.execute(
            f"insert into audit_event (seq, {_COLUMNS}, hash) "
            f"select 4, {_COLUMNS}, hash from audit_event where seq = 3"
        )
    assert problem(await verified(client)) == ("changed", 4)


async def test_an_end_that_was_cut_off_is_found(
    client: httpx.AsyncClient, own_database: str
) -> None:
    assert (await verified(client))["events"] > 4
    with superuser(own_database) as connection:
        connection.execute("delete from audit_event where seq > 4")
        connection.execute("delete from audit_checkpoint")
    told = await verified(client)
    # What was noted since stands where something else did.
    assert problem(told)[0] in ("cut", "rewritten")


def rewritten(connection: "psycopg.Connection[Any]") -> None:
    """Give every row the hash that it would have, as somebody does who knows the code."""
    copying = f"copy (select {_COLUMNS} from audit_event order by seq) to stdout"
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        lines = [bytes(row).rstrip(b"\n") for row in copy]
    rows, _ = chained(Link(), lines)
    connection.execute("delete from audit_event")
    with connection.cursor() as cursor, cursor.copy("copy audit_event from stdin") as copy:
        copy.write(rows)


async def test_a_chain_that_was_computed_anew_is_found(
    client: httpx.AsyncClient, own_database: str
) -> None:
    await verified(client)
    with superuser(own_database) as connection:
        connection.execute("update audit_event set principal = 'somebody else' where seq = 1")
        rewritten(connection)
    told = await verified(client)
    assert problem(told)[0] == "rewritten"


async def test_the_signed_ends_find_it_where_no_end_is_remembered(
    client: httpx.AsyncClient, own_database: str, tmp_path: Path
) -> None:
    await verified(client)
    with superuser(own_database) as connection:
        connection.execute("update audit_event set principal = 'somebody else' where seq = 1")
        rewritten(connection)
        connection.execute(
            "update audit_checkpoint c set hash = e.hash from audit_event e where e.seq = c.seq"
        )
    (tmp_path / "default" / "end").unlink()
    told = await verified(client)
    assert problem(told)[0] == "rewritten"
    assert told["checkpoints"] == 0


async def test_checkpoints_of_another_key_are_counted(
    client: httpx.AsyncClient, own_database: str, tmp_path: Path
) -> None:
    await verified(client)
    other = tmp_path / "other"
    assert Remembered(other).key_name != Remembered(tmp_path).key_name
    with superuser(own_database) as connection:
        connection.execute("update audit_checkpoint set key = %s", (Remembered(other).key_name,))
    told = await verified(client)
    assert told["valid"] is True
    assert told["unverifiable-checkpoints"] >= 1
