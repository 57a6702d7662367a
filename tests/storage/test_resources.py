"""Reading and writing versions: one at a time or many, the rows are the same."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from fhir_server.fhir_json import decode
from fhir_server.search.extract import Extractor
from fhir_server.search.parameters import SearchParameters
from fhir_server.storage import first_versions, resources
from fhir_server.storage.resources import Written, deleted_values
from fhir_server.storage.statements import statements_for
from fhir_server.storage.store import Connection

STATEMENTS = statements_for("default")
NOW = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
EXTRACTOR = Extractor(SearchParameters(), base_url="http://test/fhir", zone=ZoneInfo("UTC"))
TABLES = ("string_value", "date_value", "number_value")

CONTENT = rb"""{"resourceType": "Observation", "id": "x", "status": "final",
 "code": {"text": "a\tb\\N \"q\" \u00fc \ud83d\ude00 {,}",
  "coding": [{"system": "s", "code": "c"}]},
 "effectivePeriod": {"start": "2026-01-01"}, "valueQuantity": {"value": 1.0E+3, "unit": "mg"},
 "note": [{"text": "line\\nline"}], "subject": {"reference": "Patient/1"}}"""
NAMED = rb"""{"resourceType": "Patient", "name": [{"family": "\\N",
  "given": ["\\.", "a\tb", "c\\d"]}],
 "birthDate": "1970"}"""


def version(rid: int, id_: str, number: int = 1, content: bytes = CONTENT) -> Written:
    resource: dict[str, Any] = decode(content)
    type_ = resource["resourceType"]
    time = NOW + timedelta(seconds=number)
    values = EXTRACTOR.extract(resource)
    text = content.replace(b"\n", b"")
    return Written(rid, type_, id_, number, time, "PUT", text, 17, values)


async def rows(connection: Connection, rid: int) -> dict[str, list[tuple[Any, ...]]]:
    """Everything stored of a row, but for what identifies it."""
    found = {}
    cursor = await connection.execute(
        "select type, version, last_updated, method, reference_key, keys, content::text, exact "
        "from tenant_default.resource where rid = %s",
        (rid,),
    )
    found["resource"] = await cursor.fetchall()
    for table in TABLES:
        cursor = await connection.execute(
            f"select to_jsonb(v) - 'rid' from tenant_default.{table} v where rid = %s order by 1",
            (rid,),
        )
        found[table] = await cursor.fetchall()
    return found


@pytest.mark.parametrize("content", [CONTENT, NAMED], ids=["Observation", "Patient"])
async def test_many_at_once_are_stored_as_one_by_one(
    connection: Connection, content: bytes
) -> None:
    type_ = decode(content)["resourceType"]
    start = 1 if type_ == "Observation" else 100
    single, many = version(start, "single", 1, content), version(start + 1, "many", 1, content)
    assert await resources.create(connection, STATEMENTS, single)
    await resources.create_many(
        connection, STATEMENTS, [many, version(start + 2, "more", 1, content)]
    )
    some = [version(start + 3, "some", 1, content), version(start + 4, "of-some", 1, content)]
    assert await first_versions.create_some(connection, STATEMENTS, some)
    stored = await rows(connection, start)
    for other in range(start + 1, start + 5):
        assert await rows(connection, other) == stored
    assert stored["resource"]
    assert stored["date_value"]
    read = await resources.current(connection, STATEMENTS, type_, "many")
    assert read is not None
    assert read.content is not None
    assert decode(read.content) == decode(content)


async def test_an_identity_is_stored_once(connection: Connection) -> None:
    assert await resources.create(connection, STATEMENTS, version(10, "once"))
    assert not await resources.create(connection, STATEMENTS, version(11, "once"))
    assert not any((await rows(connection, 11)).values())
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with connection.transaction():
            await resources.create_many(
                connection, STATEMENTS, [version(12, "twice"), version(13, "once")]
            )
    assert not any((await rows(connection, 12)).values())


async def test_a_replaced_version_goes_to_history_and_its_values_go(connection: Connection) -> None:
    await resources.create(connection, STATEMENTS, version(20, "moving"))
    plain = rb'{"resourceType": "Observation", "status": "final", "code": {"text": "x"}}'
    assert await resources.replace(connection, STATEMENTS, version(20, "moving", 2, plain), 1)
    now = await rows(connection, 20)
    assert now["number_value"] == now["date_value"] == []
    first = await resources.version(connection, STATEMENTS, "Observation", "moving", 1)
    assert first is not None
    assert first.content is not None
    assert b"1.0E+3" in first.content
    assert first.last_updated == NOW + timedelta(seconds=1)


async def test_a_version_replaces_only_the_one_it_expects(connection: Connection) -> None:
    await resources.create(connection, STATEMENTS, version(30, "expecting"))
    before = await rows(connection, 30)
    assert not await resources.replace(connection, STATEMENTS, version(30, "expecting", 3), 2)
    assert await rows(connection, 30) == before
    assert await resources.version(connection, STATEMENTS, "Observation", "expecting", 3) is None


async def test_a_deletion_leaves_nothing_to_find(connection: Connection) -> None:
    written = version(40, "deleted")
    await resources.create(connection, STATEMENTS, written)
    time = NOW + timedelta(seconds=9)
    gone = Written(40, "Observation", "deleted", 2, time, "DELETE", None, 17, deleted_values())
    assert await resources.replace(connection, STATEMENTS, gone, 1)
    found = await rows(connection, 40)
    assert found["resource"][0][5:] == ([], None, None)
    assert not any(found[table] for table in TABLES)
    counts = await resources.counts_by_type(connection, STATEMENTS)
    cursor = await connection.execute(
        "select count(*) from tenant_default.resource where type = 'Observation' "
        "and content is not null"
    )
    assert await cursor.fetchone() == (counts["Observation"],)


async def test_rows_are_locked_in_one_order(
    connection: Connection, other_connection: Connection
) -> None:
    for rid, id_ in ((50, "b"), (51, "a")):
        await resources.create(connection, STATEMENTS, version(rid, id_))
    identities = [("Observation", "b"), ("Observation", "a"), ("Observation", "missing")]
    async with connection.transaction():
        found = await resources.lock_current(connection, STATEMENTS, identities)
        assert list(found) == [("Observation", "a"), ("Observation", "b")]
        await other_connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await resources.lock_current(other_connection, STATEMENTS, identities[1:])


async def test_any_number_of_names_takes_a_bounded_number_of_locks(
    connection: Connection, other_connection: Connection
) -> None:
    async with connection.transaction():
        await resources.lock_names(connection, range(-50_000, 50_000))
        cursor = await connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        )
        row = await cursor.fetchone()
        assert row is not None
        assert row[0] <= 4096
        await other_connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            async with other_connection.transaction():
                await resources.lock_names(other_connection, [123_456_789])


async def test_some_are_stored_with_their_numbers_or_not_at_all(connection: Connection) -> None:
    some = [version(300, "numbered"), version(301, "plain", content=NAMED)]
    claims = [("http://example.org/n", "1", "Observation/numbered")]
    assert await first_versions.create_some(connection, STATEMENTS, some, claims)
    again = [version(302, "another"), version(303, "other", content=NAMED)]
    claims = [("http://example.org/n", value, "Observation/another") for value in ("2", "1")]
    with pytest.raises(first_versions.NumberTaken):
        await first_versions.create_some(connection, STATEMENTS, again, claims)
    assert await resources.current(connection, STATEMENTS, "Observation", "another") is None
    cursor = await connection.execute("select value, holder from tenant_default.claimed_number")
    assert await cursor.fetchall() == [("1", "Observation/numbered")]


async def test_some_whose_identity_is_taken_are_not_stored(connection: Connection) -> None:
    assert await first_versions.create_some(connection, STATEMENTS, [version(310, "one-alone")])
    with pytest.raises(psycopg.errors.UniqueViolation):
        await first_versions.create_some(
            connection, STATEMENTS, [version(311, "beside"), version(312, "one-alone")]
        )
    assert await resources.current(connection, STATEMENTS, "Observation", "beside") is None


async def test_some_of_another_generation_are_not_stored(connection: Connection) -> None:
    late = version(320, "late")
    late.generation += 1
    claims = [("http://example.org/n", "late", "Observation/late")]
    assert not await first_versions.create_some(connection, STATEMENTS, [late], claims)
    assert await rows(connection, 320) == {name: [] for name in ("resource", *TABLES)}
    cursor = await connection.execute(
        "select from tenant_default.claimed_number where value = 'late'"
    )
    assert await cursor.fetchall() == []


async def test_those_that_exist_are_read_whatever_their_number(connection: Connection) -> None:
    some = [version(330 + number, f"read-{number}") for number in range(11)]
    assert await first_versions.create_some(connection, STATEMENTS, some)
    gone = version(330, "read-0", 2)
    gone.content, gone.values = None, deleted_values()
    assert await resources.replace(connection, STATEMENTS, gone, 1)
    wanted = [("Observation", f"read-{number}") for number in range(14)]
    found = await resources.read_many(connection, STATEMENTS, wanted)
    assert sorted(found) == sorted(wanted[1:11])
    assert all(decode(content) == decode(CONTENT) for content in found.values())
