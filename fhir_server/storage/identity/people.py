"""Users, their sessions, and wrong passwords."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from fhir_server.storage.identity.connections import Connection, tell

# After that users log in again, however busy they are.
LONGEST = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who logs in here.

    password: its Argon2 hash. tenants: the first unless they choose.
    """

    name: str
    password: str
    display: str
    roles: list[str]
    tenants: list[str]
    fhir_user: str
    disabled: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A login of somebody."""

    id: bytes
    user_name: str
    started: datetime
    seen: datetime


_USER = "select name, password, display, roles, tenants, fhir_user, disabled, created "


def user(connection: Connection, name: str) -> User | None:
    """One user."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        query = _USER + "from fhir_server.identity_user where name = %s"
        return cursor.execute(query, (name,)).fetchone()


def users(connection: Connection) -> list[User]:
    """All of them."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(_USER + "from fhir_server.identity_user order by name").fetchall()


def add_user(connection: Connection, new: User) -> bool:
    """Store a new one; False if the name is taken."""
    cursor = connection.execute(
        "insert into fhir_server.identity_user (name, password, display, roles, tenants, "
        "fhir_user, disabled, created) values (%s, %s, %s, %s, %s, %s, %s, %s) "
        "on conflict do nothing",
        (
            new.name, new.password, new.display, new.roles, new.tenants, new.fhir_user,
            new.disabled, new.created,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


def change_user(connection: Connection, changed: User) -> None:
    """Store what is different of one."""
    connection.execute(
        "update fhir_server.identity_user set password = %s, display = %s, roles = %s, "
        "tenants = %s, fhir_user = %s, disabled = %s where name = %s",
        (
            changed.password, changed.display, changed.roles, changed.tenants, changed.fhir_user,
            changed.disabled, changed.name,
        ),
    )  # fmt: skip
    tell(connection)


def sign_out(connection: Connection, name: str) -> None:
    """End every session of a user, and what programs may do for them."""
    for table in ("identity_session", "identity_permission"):
        connection.execute(f"delete from fhir_server.{table} where user_name = %s", (name,))
    tell(connection)


def start_session(connection: Connection, id_: bytes, name: str, now: datetime) -> None:
    """A user has logged in."""
    connection.execute(
        "insert into fhir_server.identity_session (id, user_name, started, seen) "
        "values (%s, %s, %s, %s)",
        (id_, name, now, now),
    )


def session(connection: Connection, id_: bytes, now: datetime, idle: timedelta) -> Session | None:
    """A session that has not ended; it is used thereby."""
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        return cursor.execute(
            "update fhir_server.identity_session set seen = %s "
            "where id = %s and seen > %s and started > %s "
            "returning id, user_name, started, seen",
            (now, id_, now - idle, now - LONGEST),
        ).fetchone()


def end_session(connection: Connection, id_: bytes) -> None:
    """A user has logged out: what programs may do while they are logged in ends too."""
    connection.execute("delete from fhir_server.identity_session where id = %s", (id_,))
    connection.execute("delete from fhir_server.identity_permission where session = %s", (id_,))
    tell(connection)


def locked_until(connection: Connection, who: list[str]) -> datetime | None:
    """Until when no password of any of these is looked at."""
    row = connection.execute(
        "select max(until) from fhir_server.identity_failure where who = any(%s)", (who,)
    ).fetchone()
    return row[0] if row else None


def count_failure(connection: Connection, who: str, now: datetime, quiet: timedelta) -> int:
    """Another wrong password; how many it makes. quiet: time after which they count anew."""
    row = connection.execute(
        "insert into fhir_server.identity_failure as f (who, times, until) values (%s, 1, %s) "
        "on conflict (who) do update set until = greatest(f.until, excluded.until), "
        "times = case when f.until < %s then 1 else f.times + 1 end returning times",
        (who, now, now - quiet),
    ).fetchone()
    assert row is not None
    return int(row[0])


def lock(connection: Connection, who: str, until: datetime) -> None:
    """Look at no password of theirs until then."""
    connection.execute(
        "update fhir_server.identity_failure set until = %s where who = %s", (until, who)
    )


def forgive(connection: Connection, who: str) -> None:
    """The password was right."""
    connection.execute("delete from fhir_server.identity_failure where who = %s", (who,))
