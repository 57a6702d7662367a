"""Programs that get tokens, what they prove themselves by, and launches for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from fhir_server.storage.identity.connections import Connection, tell


@dataclass(frozen=True, slots=True)
class Program:
    """A client of OAuth (RFC 6749 2).

    method: how it proves itself, such as `none` or `private_key_jwt`. secret: its SHA-256.
    scopes: the most that it gets, apart by spaces. grants: its grant types.
    roles: its own when it asks for itself. tenants: the only ones it is used in; none for any.
    trusted: whether users are not asked for consent.
    """

    id: str
    method: str
    secret: bytes | None
    jwks: dict[str, Any] | None
    jwks_url: str | None
    redirect_uris: list[str]
    launch_url: str | None
    scopes: str
    grants: list[str]
    roles: list[str]
    tenants: list[str]
    trusted: bool
    disabled: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class Launch:
    """What an EHR launches a program with.

    user_name: who alone may use it; empty for anybody.
    tenant: the territory of the patient; empty for the first of the user.
    """

    client: str
    user_name: str
    patient: str
    encounter: str
    tenant: str


_COLUMNS = (
    "id, method, secret, jwks, jwks_url, redirect_uris, launch_url, scopes, grants, roles, "
    "tenants, trusted, disabled, created"
)


def program(connection: Connection, id_: str) -> Program | None:
    """One program."""
    with connection.cursor(row_factory=class_row(Program)) as cursor:
        query = f"select {_COLUMNS} from fhir_server.identity_client where id = %s"
        return cursor.execute(query, (id_,)).fetchone()


def programs(connection: Connection) -> list[Program]:
    """All of them."""
    with connection.cursor(row_factory=class_row(Program)) as cursor:
        query = f"select {_COLUMNS} from fhir_server.identity_client order by id"
        return cursor.execute(query).fetchall()


def add_program(connection: Connection, new: Program) -> bool:
    """Store a new one; False if the id is taken."""
    cursor = connection.execute(
        f"insert into fhir_server.identity_client ({_COLUMNS}) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        (
            new.id, new.method, new.secret, Jsonb(new.jwks) if new.jwks else None, new.jwks_url,
            new.redirect_uris, new.launch_url, new.scopes, new.grants, new.roles, new.tenants,
            new.trusted, new.disabled, new.created,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


def disable_program(connection: Connection, id_: str, disabled: bool) -> None:
    """Whether it gets tokens, and those it has are good."""
    connection.execute(
        "update fhir_server.identity_client set disabled = %s where id = %s", (disabled, id_)
    )
    tell(connection)


def change_secret(connection: Connection, id_: str, secret: bytes) -> None:
    """Give it another secret."""
    connection.execute(
        "update fhir_server.identity_client set secret = %s where id = %s", (secret, id_)
    )


def use_assertion(connection: Connection, client: str, id_: str, expires: datetime) -> bool:
    """Remember that an assertion was used; False if it was before."""
    cursor = connection.execute(
        "insert into fhir_server.identity_assertion (client, id, expires) values (%s, %s, %s) "
        "on conflict do nothing",
        (client, id_, expires),
    )
    return cursor.rowcount == 1


def add_launch(connection: Connection, id_: bytes, new: Launch, expires: datetime) -> None:
    """Store a launch."""
    connection.execute(
        "insert into fhir_server.identity_launch (id, client, user_name, patient, encounter, "
        "tenant, expires) values (%s, %s, %s, %s, %s, %s, %s)",
        (id_, new.client, new.user_name, new.patient, new.encounter, new.tenant, expires),
    )


def launch(connection: Connection, id_: bytes, now: datetime) -> Launch | None:
    """A launch that was not used and has not expired."""
    with connection.cursor(row_factory=class_row(Launch)) as cursor:
        return cursor.execute(
            "select client, user_name, patient, encounter, tenant "
            "from fhir_server.identity_launch "
            "where id = %s and expires > %s",
            (id_, now),
        ).fetchone()


def use_launch(connection: Connection, id_: bytes) -> bool:
    """Use a launch up; False if somebody else has."""
    cursor = connection.execute("delete from fhir_server.identity_launch where id = %s", (id_,))
    return cursor.rowcount == 1
