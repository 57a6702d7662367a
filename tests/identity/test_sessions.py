"""Logins: how often passwords may be wrong, by a clock that a test can turn."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from fhir_server.identity.administration import Administration
from fhir_server.identity.sessions import Refused, Sessions
from fhir_server.storage.identity.connections import Connections
from tests.identity.smart import PASSWORD

HERE = "10.0.0.7"


class Clock:
    def __init__(self) -> None:
        self.instant = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.instant


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(own_database: str, clock: Clock) -> Sessions:
    connections = Connections(own_database)
    Administration(connections).add_user("anna", PASSWORD, ["doctor"])
    return Sessions(connections, now=clock)


def is_right(sessions: Sessions, password: str, name: str = "anna", address: str = HERE) -> bool:
    try:
        sessions.log_in(name, password, address)
    except Refused:
        return False
    return True


def test_waits_become_longer_and_end(sessions: Sessions, clock: Clock) -> None:
    for _ in range(4):
        assert not is_right(sessions, "wrong-Password-1")
    assert is_right(sessions, PASSWORD), "four are borne"
    for _ in range(5):
        assert not is_right(sessions, "wrong-Password-1")
    for seconds in (30, 60, 120, 240, 480, 900, 900):
        clock.instant += timedelta(seconds=seconds - 1)
        assert not is_right(sessions, PASSWORD), seconds
        clock.instant += timedelta(seconds=1)
        assert not is_right(sessions, "wrong-Password-1"), seconds
    clock.instant += timedelta(seconds=901)
    assert is_right(sessions, PASSWORD)


def test_wrong_passwords_of_long_ago_do_not_count(sessions: Sessions, clock: Clock) -> None:
    for _ in range(20):
        assert not is_right(sessions, "wrong-Password-1")
        clock.instant += timedelta(minutes=61)
    assert is_right(sessions, PASSWORD)


def test_a_wait_is_of_one_user(sessions: Sessions) -> None:
    for _ in range(6):
        assert not is_right(sessions, "wrong-Password-1", "nobody")
    assert is_right(sessions, PASSWORD)


def test_sessions_end_by_quiet_and_by_time(sessions: Sessions, clock: Clock) -> None:
    secret = sessions.log_in("anna", PASSWORD, HERE)
    for _ in range(24):
        assert sessions.of(secret) is not None
        clock.instant += timedelta(minutes=29)
    assert sessions.of(secret) is not None
    clock.instant += timedelta(minutes=29)
    assert sessions.of(secret) is None, "after twelve hours"
    other = sessions.log_in("anna", PASSWORD, HERE)
    clock.instant += timedelta(minutes=31)
    assert sessions.of(other) is None, "after half an hour of quiet"


def test_no_secret_is_in_the_database(sessions: Sessions, own_database: str) -> None:
    secret = sessions.log_in("anna", PASSWORD, HERE)
    with psycopg.connect(own_database) as connection:
        rows = connection.execute(
            "select s::text, u::text from fhir_server.identity_session s, "
            "fhir_server.identity_user u"
        ).fetchall()
    assert rows
    assert secret not in str(rows)
    assert secret.encode().hex() not in str(rows)
    assert PASSWORD not in str(rows)
