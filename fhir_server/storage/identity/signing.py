"""The keys that tokens are signed with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from fhir_server.storage.identity.connections import Connection, tell

_ONE_AT_A_TIME = 0x4B455953


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key. id: its kid. key: the private JWK. signs: from when on."""

    id: str
    key: dict[str, Any]
    created: datetime
    signs: datetime


def signing_keys(connection: Connection, *, alone: bool = False) -> list[SigningKey]:
    """All keys, the newest first.

    alone: until the transaction ends, nobody else who says so gets them.
    """
    if alone:
        connection.execute("select pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
    with connection.cursor(row_factory=class_row(SigningKey)) as cursor:
        return cursor.execute(
            "select id, key, created, signs from fhir_server.identity_key order by signs desc, id"
        ).fetchall()


def add_key(connection: Connection, new: SigningKey) -> None:
    """Store a key."""
    connection.execute(
        "insert into fhir_server.identity_key (id, key, created, signs) values (%s, %s, %s, %s)",
        (new.id, Jsonb(new.key), new.created, new.signs),
    )
    tell(connection)


def remove_key(connection: Connection, id_: str) -> None:
    """Believe no signature of a key any more."""
    connection.execute("delete from fhir_server.identity_key where id = %s", (id_,))
    tell(connection)
