"""Roles of the database: one for each tenant, which may do no more than the server has to.

A tenant's role cannot log in. The server logs in as a role that owns nothing and is a member of the
tenants' roles without having their rights: each of its connections takes one of them on. So SQL
that names another tenant's schema, or changes what is only ever added to, is refused by PostgreSQL.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fhir_server.storage.schema import RIGHTS
from fhir_server.storage.schema.server import SERVER_RIGHTS

Connection = psycopg.Connection[Any]

# The login of a server whose PostgreSQL is its own.
LOGIN = "fhir_server"

_EVERYTHING = ("select", "insert", "update", "delete")
_LONGEST_DATABASE = 10
_INHERITANCE_SINCE = 160000


class Standing(NamedTuple):
    """A tenant and its role; `ready` if the login may take it on."""

    tenant: str
    role: str | None
    ready: bool


class Login(NamedTuple):
    """What the server logs in as. owner: it owns the tables, or may do as it likes anyway."""

    name: str
    owner: bool


def role_name(database: str, tenant: str) -> str:
    """The role of a tenant; roles belong to all databases of a PostgreSQL, so it names its own."""
    if len(database) > _LONGEST_DATABASE:
        database = hashlib.sha256(database.encode()).hexdigest()[:_LONGEST_DATABASE]
    return f"fhir_{database}_tenant_{tenant}"


def login_of(connection: Connection, database_url: str | None) -> Login:
    """What the server logs in as with a URL; None is the connection's own.

    A role that is not there is made, if that is possible and the URL has its password.
    """
    name = connection.info.user
    if database_url is not None:
        given = conninfo_to_dict(database_url)
        name = str(given.get("user") or "")
        if name and given.get("password") and _may_make_roles(connection):
            password = sql.Literal(given["password"])
            _make(connection, name, sql.SQL("login noinherit password {}").format(password))
        if not name:
            with psycopg.connect(database_url) as other:
                name = other.info.user
    row = connection.execute(
        "select r.rolsuper or pg_has_role(r.oid, n.nspowner, 'usage') from pg_roles r, "
        "pg_namespace n where r.rolname = %s and n.nspname = 'fhir_server'",
        (name,),
    ).fetchone()
    return Login(name, row is not None and bool(row[0]))


def standings(connection: Connection, login: Login) -> list[Standing]:
    """Every tenant that is served, with its role."""
    rows = connection.execute(
        "select t.name, r.rolname, coalesce(pg_has_role(%s, r.oid, 'member'), false) "
        "from fhir_server.tenant t left join pg_roles r on r.rolname = t.role "
        "where t.state <> 'leaving' order by t.name",
        (login.name,),
    )
    return [Standing(*row) for row in rows.fetchall()]


def grant_server(connection: Connection, login: Login) -> None:
    """Let the server use the schema that is no tenant's."""
    if not login.owner:
        _grant(connection, "fhir_server", login.name, SERVER_RIGHTS)


def has_server(connection: Connection, login: Login) -> bool:
    """Whether it may already."""
    query = "select has_schema_privilege(%s, 'fhir_server', 'usage')"
    row = connection.execute(query, (login.name,)).fetchone()
    return row is not None and bool(row[0])


def grant_tenant(connection: Connection, tenant: str, schema: str, login: Login) -> None:
    """Make a tenant's role, if roles may be made, and let the server take it on.

    If none may be made the server has the rights itself.
    """
    role = None
    if _may_make_roles(connection):
        role = role_name(connection.info.dbname, tenant)
        _make(connection, role, sql.SQL("nologin"))
        _grant(connection, schema, role, RIGHTS)
        _let_take_on(connection, role, login)
    elif not login.owner:
        _grant(connection, schema, login.name, RIGHTS)
    connection.execute("update fhir_server.tenant set role = %s where name = %s", (role, tenant))


def weaknesses(login: Login, found: Iterable[Standing]) -> list[str]:
    """What PostgreSQL does not see to, for want of roles."""
    told = []
    if login.owner:
        told.append(
            f"the database user {login.name} owns the tables: PostgreSQL does not keep the server "
            "from changing its audit trail, or from taking on any right. Give database_url a user "
            "that owns nothing, and the owner's URL as migration_database_url"
        )
    if bare := [each.tenant for each in found if each.role is None]:
        told.append(
            "the database user that migrates may not make roles: PostgreSQL does not keep apart "
            f"the territories {', '.join(bare)}, only the server does. "
            "Grant that user CREATEROLE"
        )
    return told


def drop_role(connection: Connection, role: str) -> None:
    """Remove a role that has rights nowhere any more."""
    connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))


def own_login(owner_url: str) -> str:
    """The URL of the server's login on a PostgreSQL that is its own, with a new password.

    Everybody else loses the rights that PostgreSQL gives to all.
    """
    password = secrets.token_urlsafe(32)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        _make(connection, LOGIN, sql.SQL("login noinherit"))
        for statement in _CLOSED:
            connection.execute(
                sql.SQL(statement).format(
                    login=sql.Identifier(LOGIN),
                    database=sql.Identifier(connection.info.dbname),
                    password=sql.Literal(password),
                )
            )
    return make_conninfo(owner_url, user=LOGIN, password=password)


_CLOSED = (
    "alter role {login} password {password}",
    "revoke all on database {database} from public",
    "grant connect on database {database} to {login}",
    "revoke all on schema public from public",
)


def _may_make_roles(connection: Connection) -> bool:
    row = connection.execute(
        "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
    ).fetchone()
    return row is not None and bool(row[0])


def _make(connection: Connection, role: str, kind: sql.Composable) -> None:
    if connection.execute("select from pg_roles where rolname = %s", (role,)).fetchone() is None:
        connection.execute(sql.SQL("create role {} {}").format(sql.Identifier(role), kind))


def _let_take_on(connection: Connection, role: str, login: Login) -> None:
    option = " with inherit false, set true"
    if connection.info.server_version < _INHERITANCE_SINCE:
        option = ""
    connection.execute(
        sql.SQL("grant {} to {}" + option).format(sql.Identifier(role), sql.Identifier(login.name))
    )


def _grant(
    connection: Connection, schema: str, role: str, rights: Mapping[str, Sequence[str]]
) -> None:
    """Give a role its rights on a schema, and nobody any other."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    with connection.transaction():
        for statement in _USAGE:
            connection.execute(sql.SQL(statement).format(**names))
        tables = connection.execute(
            "select relname from pg_class where relnamespace = %s::regnamespace "
            "and relkind in ('r', 'p') and relname <> 'alembic_version'",
            (schema,),
        ).fetchall()
        for (table,) in tables:
            given = sql.SQL(", ").join(map(sql.SQL, rights.get(table, _EVERYTHING)))
            connection.execute(
                sql.SQL("grant {given} on {table} to {role}").format(
                    given=given, table=sql.Identifier(schema, table), role=names["role"]
                )
            )


_USAGE = (
    "revoke all on schema {schema} from public",
    "revoke all on all tables in schema {schema} from public",
    "revoke all on all tables in schema {schema} from {role}",
    "revoke all on all functions in schema {schema} from public",
    "grant usage on schema {schema} to {role}",
    "grant usage, select on all sequences in schema {schema} to {role}",
    "grant execute on all functions in schema {schema} to {role}",
)
