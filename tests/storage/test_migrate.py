"""Bringing a database to this release's schema."""

import subprocess
import sys
import threading
from collections.abc import Mapping

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.pool import NullPool

from fhir_server.packaged import folder
from fhir_server.storage.migrate import (
    HEAD,
    SERVER_HEAD,
    current_revision,
    migrate,
    migrate_all,
    schema_name,
)
from fhir_server.storage.schema import INDEX_PURPOSES, metadata
from fhir_server.storage.schema.server import SERVER_INDEX_PURPOSES, server_metadata
from tests.conftest import fresh_database


def test_an_empty_database_is_brought_to_the_newest_revision_once(postgres: str) -> None:
    with fresh_database(postgres, "migrate_fresh") as url:
        assert current_revision(url, "default") is None
        assert migrate(url) == (None, HEAD)
        assert migrate(url) == (HEAD, HEAD)
        assert current_revision(url, "default") == HEAD


def test_several_processes_may_migrate_at_once(postgres: str) -> None:
    with fresh_database(postgres, "migrate_race") as url:
        results: list[tuple[str | None, str]] = []
        failures: list[Exception] = []

        def run() -> None:
            try:
                results.append(migrate(url))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert {after for _, after in results} == {HEAD}


def test_tenants_have_schemas_of_their_own(postgres: str) -> None:
    with fresh_database(postgres, "migrate_tenants") as url:
        migrate(url)
        assert current_revision(url, "north") is None
        migrate(url, "north")
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "select table_schema, count(*) from information_schema.tables "
                "where table_schema like 'tenant_%' group by 1 order by 1"
            ).fetchall()
        assert rows == [("tenant_default", rows[0][1]), ("tenant_north", rows[0][1])]


def test_all_tenants_are_brought_to_the_newest_revision(postgres: str) -> None:
    with fresh_database(postgres, "migrate_all") as url:
        migrate(url, "north", to="0005")
        assert migrate_all(url)[0] == {
            "fhir_server": (SERVER_HEAD, SERVER_HEAD),
            "tenant_default": (None, HEAD),
            "tenant_north": ("0005", HEAD),
        }
        with psycopg.connect(url) as connection:
            rows = connection.execute("select name, state from fhir_server.tenant order by name")
            assert rows.fetchall() == [("default", "ready"), ("north", "ready")]


def test_what_is_up_to_date_is_left_without_alembic(database: str) -> None:
    program = (
        "import sys\nfrom fhir_server.storage.migrate import migrate_all\n"
        "migrate_all(sys.argv[1])\nprint('alembic' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, database], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


def test_a_database_of_a_newer_release_is_refused(postgres: str) -> None:
    with fresh_database(postgres, "migrate_newer") as url:
        migrate(url)
        with psycopg.connect(url) as connection:
            connection.execute("update tenant_default.alembic_version set version_num = '9999'")
        with pytest.raises(RuntimeError, match="9999"):
            migrate(url)


def test_a_database_out_of_reach_is_an_operational_error() -> None:
    with pytest.raises(psycopg.OperationalError):
        migrate("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=2")


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", 'a"b', "a;drop", "a b", "x" * 41, "ä"])
def test_a_name_that_no_schema_should_have_is_no_tenant(name: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        schema_name(name)


@pytest.mark.parametrize(("versions", "head"), [("versions", HEAD), ("server", SERVER_HEAD)])
def test_the_newest_revision_is_the_newest_file(versions: str, head: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder("migrations")))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(folder("migrations") / versions))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == head
    # Revisions are compared as text when a newer database is recognised.
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert {len(revision) for revision in revisions} == {4}


@pytest.mark.parametrize(
    ("schema", "described"), [("tenant_default", metadata), ("fhir_server", server_metadata)]
)
def test_the_migrated_database_is_what_the_code_describes(
    database: str, schema: str, described: MetaData
) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database), poolclass=NullPool
    )
    with engine.connect() as connection:
        connection.execute(text(f"set search_path to {schema}"))
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, described)
    engine.dispose()
    unexpected = [
        item
        for item in differences
        if not (item[0] == "remove_table" and item[1].name == "alembic_version")
    ]
    assert unexpected == []


def test_a_database_of_the_former_release_keeps_its_data(postgres: str) -> None:
    with fresh_database(postgres, "migrate_former") as url:
        assert migrate(url, to="0001") == (None, "0001")
        with psycopg.connect(url) as connection:
            connection.execute("set search_path to tenant_default")
            connection.execute(
                "insert into resource (rid, type, id, version, last_updated, method, "
                "reference_key, keys, content) values "
                "(1, 'Patient', 'a', 2, '2026-01-02', 'PUT', 7, '{1,2}', '{\"id\": \"a\"}')"
            )
            connection.execute("insert into string_value values (1, 5, 'doe')")
            connection.execute("insert into date_value values (1, 6, 10, 20)")
            connection.execute("insert into number_value values (1, 7, 0, 1.50, 1.50)")
        assert migrate(url) == ("0001", HEAD)
        with psycopg.connect(url) as connection:
            connection.execute("set search_path to tenant_default")
            row = connection.execute(
                "select version, keys, targets, content->>'id', s.value, d.low, n.low::text "
                "from resource join string_value s using (rid) join date_value d using (rid) "
                "join number_value n using (rid)"
            ).fetchall()
            assert row == [(2, [1, 2], [], "a", "doe", 10, "1.50")]
            # Its entries are of the former release until they are made anew.
            assert connection.execute("select format from index_state").fetchall() == [(1,)]
            secret = connection.execute("select value from secret where name = 'cursor'")
            assert [len(value) for (value,) in secret.fetchall()] == [32]


@pytest.mark.parametrize(
    ("schema", "described", "purposes"),
    [
        ("tenant_default", metadata, INDEX_PURPOSES),
        ("fhir_server", server_metadata, SERVER_INDEX_PURPOSES),
    ],
)
def test_every_table_and_index_says_what_it_serves(
    database: str, schema: str, described: MetaData, purposes: Mapping[str, str]
) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "select relname, obj_description(oid, 'pg_class') from pg_class "
            "where relnamespace = %s::regnamespace and relkind in ('r', 'i') "
            "and relname not like 'alembic_version%%'",
            (schema,),
        ).fetchall()
    assert [name for name, comment in rows if not comment] == []
    found = {name: comment for name, comment in rows if name in purposes}
    assert found == purposes
    assert {name for name, _ in rows} == set(described.tables) | set(purposes)
