"""Codes, what they are exchanged for, and whether that still stands."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from fhir_server.storage.identity.connections import Connection, tell
from fhir_server.storage.identity.people import LONGEST


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code (RFC 6749 4.1.2) and what it stands for.

    permission: the id of what it is exchanged for. challenge: of PKCE, S256.
    tenant: the only territory it is for; empty for those of the user.
    """

    permission: str
    client: str
    redirect_uri: str
    challenge: str
    nonce: str
    user_name: str
    session: bytes
    scopes: str
    patient: str
    encounter: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Permission:
    """What a user lets a program do.

    session: with which it ends; None for offline access.
    tenant: the only territory it is for; empty for those of the user.
    """

    id: str
    client: str
    user_name: str
    session: bytes | None
    scopes: str
    patient: str
    encounter: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a token of a user and a program depends on, as it is now."""

    user_name: str
    roles: list[str]
    tenants: list[str]
    fhir_user: str
    client_tenants: list[str]
    tenant: str


@dataclass(frozen=True, slots=True)
class OwnStanding:
    """What a token of a program alone depends on, as it is now."""

    roles: list[str]
    tenants: list[str]


_CODE = (
    "permission, client, redirect_uri, challenge, nonce, user_name, session, scopes, patient, "
    "encounter, tenant"
)
_PERMISSION = "id, client, user_name, session, scopes, patient, encounter, tenant"


def add_code(connection: Connection, id_: bytes, new: Code, expires: datetime) -> None:
    """Store a code."""
    connection.execute(
        f"insert into fhir_server.identity_code (id, expires, {_CODE}) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            id_, expires, new.permission, new.client, new.redirect_uri, new.challenge, new.nonce,
            new.user_name, new.session, new.scopes, new.patient, new.encounter, new.tenant,
        ),
    )  # fmt: skip


def use_code(connection: Connection, id_: bytes, client: str, now: datetime) -> Code | None:
    """Use a code up; None if it is not this program's, has expired, or was used.

    Whoever uses one again has stolen it, or it was stolen from them: what came of it ends.
    """
    with connection.cursor(row_factory=class_row(Code)) as cursor:
        found = cursor.execute(
            f"update fhir_server.identity_code set used = %s "
            f"where id = %s and client = %s and used is null and expires > %s returning {_CODE}",
            (now, id_, client, now),
        ).fetchone()
    if found is None:
        row = connection.execute(
            "select permission from fhir_server.identity_code where id = %s and used is not null",
            (id_,),
        ).fetchone()
        if row is not None:
            withdraw(connection, row[0])
    return found


def add_permission(connection: Connection, new: Permission, now: datetime) -> None:
    """Store what a user permits."""
    connection.execute(
        f"insert into fhir_server.identity_permission ({_PERMISSION}, created, used) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            new.id, new.client, new.user_name, new.session, new.scopes, new.patient,
            new.encounter, new.tenant, now, now,
        ),
    )  # fmt: skip


def permission(connection: Connection, id_: str) -> Permission | None:
    """What a user permits, unless it was withdrawn."""
    with connection.cursor(row_factory=class_row(Permission)) as cursor:
        query = f"select {_PERMISSION} from fhir_server.identity_permission where id = %s"
        return cursor.execute(query, (id_,)).fetchone()


def withdraw(connection: Connection, id_: str) -> None:
    """End what a user permitted, with all tokens."""
    connection.execute("delete from fhir_server.identity_permission where id = %s", (id_,))
    tell(connection)


def started(connection: Connection, session: bytes) -> datetime | None:
    """When the user logged in."""
    row = connection.execute(
        "select started from fhir_server.identity_session where id = %s", (session,)
    ).fetchone()
    return row[0] if row else None


def add_refresh(
    connection: Connection, id_: bytes, of: str, now: datetime, expires: datetime
) -> None:
    """Store a refresh token of a permission, which is used thereby."""
    connection.execute(
        "update fhir_server.identity_permission set used = greatest(used, %s) where id = %s",
        (now, of),
    )
    connection.execute(
        "insert into fhir_server.identity_refresh (id, permission, expires) values (%s, %s, %s)",
        (id_, of, expires),
    )


def refreshed(connection: Connection, id_: bytes, client: str) -> Permission | None:
    """The permission that a refresh token of a program is for, whether it was used or not."""
    with connection.cursor(row_factory=class_row(Permission)) as cursor:
        return cursor.execute(
            "select p.id, p.client, p.user_name, p.session, p.scopes, p.patient, p.encounter, "
            "p.tenant "
            "from fhir_server.identity_refresh r "
            "join fhir_server.identity_permission p on p.id = r.permission "
            "where r.id = %s and p.client = %s",
            (id_, client),
        ).fetchone()


def use_refresh(connection: Connection, id_: bytes, now: datetime) -> bool:
    """Use a refresh token up; False if it was used before, or has expired."""
    cursor = connection.execute(
        "update fhir_server.identity_refresh set used = %s "
        "where id = %s and used is null and expires > %s",
        (now, id_, now),
    )
    return cursor.rowcount == 1


def is_unused(connection: Connection, id_: bytes, now: datetime) -> bool:
    """Whether a refresh token could be used."""
    row = connection.execute(
        "select from fhir_server.identity_refresh where id = %s and used is null and expires > %s",
        (id_, now),
    ).fetchone()
    return row is not None


def revoke(connection: Connection, id_: str, expires: datetime) -> None:
    """Refuse one access token from now on."""
    connection.execute(
        "insert into fhir_server.identity_revoked (id, expires) values (%s, %s) "
        "on conflict do nothing",
        (id_, expires),
    )
    tell(connection)


def standing(
    connection: Connection, token: str, of: str, now: datetime, idle: timedelta
) -> Standing | None:
    """What stands behind the token of a user; None if nothing does any more.

    token: its jti. of: the permission. idle: after which a session has ended.
    """
    with connection.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            _STANDING, {"token": token, "of": of, "since": now - idle, "begun": now - LONGEST}
        ).fetchone()


_STANDING = """
select u.name as user_name, u.roles, u.tenants, u.fhir_user, c.tenants as client_tenants, p.tenant
from fhir_server.identity_permission p
join fhir_server.identity_user u on u.name = p.user_name and not u.disabled
join fhir_server.identity_client c on c.id = p.client and not c.disabled
left join fhir_server.identity_session s on s.id = p.session
where p.id = %(of)s and (p.session is null or s.seen > %(since)s and s.started > %(begun)s)
and not exists (select from fhir_server.identity_revoked r where r.id = %(token)s)
"""


def own_standing(connection: Connection, token: str, client: str) -> OwnStanding | None:
    """What stands behind the token of a program; None if nothing does any more."""
    with connection.cursor(row_factory=class_row(OwnStanding)) as cursor:
        return cursor.execute(
            "select roles, tenants from fhir_server.identity_client c "
            "where id = %s and not disabled "
            "and not exists (select from fhir_server.identity_revoked r where r.id = %s)",
            (client, token),
        ).fetchone()


def see(connection: Connection, of: str, now: datetime, every: timedelta) -> None:
    """A user has used their session, by a program."""
    connection.execute(
        "update fhir_server.identity_session s set seen = %s "
        "from fhir_server.identity_permission p "
        "where p.id = %s and s.id = p.session and s.seen < %s",
        (now, of, now - every),
    )


def clean(connection: Connection, now: datetime, idle: timedelta, kept: timedelta) -> None:
    """Remove what nobody can use any more; used codes and tokens are kept for a while."""
    connection.execute(
        "delete from fhir_server.identity_permission p using fhir_server.identity_session s "
        "where s.id = p.session and s.seen < %s",
        (now - idle,),
    )
    connection.execute("delete from fhir_server.identity_session where seen < %s", (now - idle,))
    for table in ("code", "refresh"):
        connection.execute(
            f"delete from fhir_server.identity_{table} where expires < %s", (now - kept,)
        )
    for table in ("launch", "revoked", "assertion"):
        connection.execute(f"delete from fhir_server.identity_{table} where expires < %s", (now,))
    connection.execute("delete from fhir_server.identity_failure where until < %s", (now - kept,))
    connection.execute(
        "delete from fhir_server.identity_permission p where p.session is null and not exists "
        "(select from fhir_server.identity_refresh r where r.permission = p.id) and p.used < %s",
        (now - kept,),
    )
