"""Logging in and out: passwords, how often they may be wrong, and sessions that end."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from fhir_server.identity.own_keys import system_now
from fhir_server.identity.passwords import hash_password, is_outdated, is_password
from fhir_server.storage.identity import people
from fhir_server.storage.identity.connections import Connection, Connections, hashed
from fhir_server.storage.identity.people import Session, User

# So many wrong passwords are borne in a row, with less than an hour between any two.
_BORNE = {"user": 5, "address": 100}
_QUIET = timedelta(hours=1)
# Every further one doubles the wait of a user. Behind an address there may be a whole hospital.
_WAITS = {
    "user": (timedelta(seconds=30), timedelta(minutes=15)),
    "address": (timedelta(seconds=5), timedelta(seconds=5)),
}


class Refused(Exception):
    """A login that is refused; the same for a wrong name, a wrong password and too many of them."""


class Sessions:
    """The logins of one server.

    idle: after which a session has ended.
    """

    def __init__(
        self,
        connections: Connections,
        idle: timedelta = timedelta(minutes=30),
        now: Callable[[], datetime] = system_now,
    ) -> None:
        self._connections = connections
        self._idle = idle
        self._now = now

    def log_in(self, name: str, password: str, address: str) -> str:
        """The secret of a new session. Raises `Refused`."""
        who = [f"user:{name}", f"address:{address}"]
        with self._connections.transaction() as connection:
            until = people.locked_until(connection, who)
            if until is not None and until > self._now():
                raise Refused
            # Before it is looked at, lest many are tried at once.
            times = people.count_failure(connection, who[0], self._now(), _QUIET)
            self._wait(connection, who[0], times)
            user = people.user(connection, name)
        right = is_password(user.password if user else None, password)
        if user is None or not right or user.disabled:
            with self._connections.transaction() as connection:
                times = people.count_failure(connection, who[1], self._now(), _QUIET)
                self._wait(connection, who[1], times)
            raise Refused
        return self._start(user, password)

    def _start(self, user: User, password: str) -> str:
        secret = secrets.token_urlsafe(32)
        with self._connections.transaction() as connection:
            people.forgive(connection, f"user:{user.name}")
            if is_outdated(user.password):
                people.change_user(connection, replace(user, password=hash_password(password)))
            people.start_session(connection, hashed(secret), user.name, self._now())
        return secret

    def _wait(self, connection: Connection, who: str, times: int) -> None:
        kind = who.partition(":")[0]
        over = times - _BORNE[kind]
        if over >= 0:
            first, longest = _WAITS[kind]
            wait = min(longest, first * 2 ** min(over, 10))
            people.lock(connection, who, self._now() + wait)

    def of(self, secret: str | None) -> tuple[Session, User] | None:
        """The session of a cookie and whose it is; None if it has ended."""
        if not secret:
            return None
        with self._connections.transaction() as connection:
            session = people.session(connection, hashed(secret), self._now(), self._idle)
            user = people.user(connection, session.user_name) if session else None
        return (session, user) if session and user and not user.disabled else None

    def end(self, secret: str) -> None:
        """Log out."""
        with self._connections.transaction() as connection:
            people.end_session(connection, hashed(secret))
