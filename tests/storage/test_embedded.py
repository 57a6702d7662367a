"""The PostgreSQL that the server brings along."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fhir_server.storage.embedded import EmbeddedPostgres


@pytest.fixture
def directory() -> Iterator[Path]:
    """A data directory with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="fhir-embedded-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def embedded(directory: Path) -> Iterator[EmbeddedPostgres]:
    """One that has not started yet."""
    found = EmbeddedPostgres(directory)
    yield found
    found.stop()


def answer(url: str, query: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def postmaster(directory: Path) -> int:
    return int((directory / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def answer_soon(url: str, query: str, within: float = 30.0) -> str:
    end = time.monotonic() + within
    while True:
        try:
            return answer(url, query)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_it_starts_stops_and_keeps_what_it_was_given(
    directory: Path, embedded: EmbeddedPostgres
) -> None:
    url = embedded.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as x")
    embedded.stop()
    with pytest.raises(psycopg.OperationalError):
        answer(url, "select 1")
    again = EmbeddedPostgres(directory)
    try:
        assert answer(again.start(), "select x from kept") == "42"
    finally:
        again.stop()


def test_it_is_as_durable_as_postgresql_is_and_set_up_once(
    directory: Path, embedded: EmbeddedPostgres
) -> None:
    url = embedded.start()
    settings = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "jit": "off"}
    assert {name: answer(url, f"show {name}") for name in settings} == settings
    embedded.stop()
    embedded.start()
    main = (directory / "postgres" / "postgresql.conf").read_text()
    assert main.count("fhir_server.conf") == 1


def test_it_comes_back_when_it_is_killed_with_all_that_was_committed(
    directory: Path, embedded: EmbeddedPostgres
) -> None:
    url = embedded.start()
    embedded.watch(every=0.1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as x")
    for _ in range(2):
        killed = postmaster(directory)
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 10
        while (directory / "postgres" / "postmaster.pid").exists() and time.monotonic() < end:
            if postmaster(directory) != killed:
                break
            time.sleep(0.02)
        assert answer_soon(url, "select x from kept") == "42"


def test_its_log_quotes_no_row_of_a_statement_that_failed(
    directory: Path, embedded: EmbeddedPostgres
) -> None:
    url = embedded.start()
    secret = "Geheimnis"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table t (id text primary key, content jsonb)")
        connection.execute("insert into t values (%s, '{}')", (secret,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into t values (%s, '{}')", (secret,))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("alter table t add constraint c check (id = 'x')")
        copy = "copy t (id, content) from stdin"
        for row in ((secret, "{}"), (f"{secret}2", f"{{{secret}")):
            with (
                pytest.raises(psycopg.Error),
                connection.cursor() as cursor,
                cursor.copy(copy) as copying,
            ):
                copying.write_row(row)
    logs = [path for path in directory.rglob("*") if path.is_file() and "log" in path.name.lower()]
    texts = [path.read_text(errors="replace") for path in logs if path.parent.name != "pg_wal"]
    assert any("duplicate key" in text for text in texts)
    assert not any(secret in text for text in texts)


def test_a_directory_of_a_release_without_passwords_gets_one_and_keeps_its_data(
    directory: Path, embedded: EmbeddedPostgres
) -> None:
    url = embedded.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as x")
        connection.execute("alter role postgres password null")
    embedded.stop()
    (directory / "postgres" / "pg_hba.conf").write_text("local all all trust\n")
    (directory / "postgres-password").unlink()
    again = EmbeddedPostgres(directory)
    try:
        url = again.start()
        assert answer(url, "select x from kept") == "42"
        password = directory / "postgres-password"
        assert password.stat().st_mode & 0o777 == 0o600
        assert password.read_text().strip() in url
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(make_conninfo(url, password="x"))
    finally:
        again.stop()
