"""Brings the server's schema and each tenant's to the newest revision, with Alembic."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from fhir_server.packaged import folder
from fhir_server.storage import roles

# The newest revisions under migrations/versions and migrations/server, kept here so that a start
# which has nothing to migrate need not import Alembic; a test compares them with the folders.
HEAD = "0010"
SERVER_HEAD = "0004"

SERVER_SCHEMA = "fhir_server"
DEFAULT_TENANT = "default"

_TENANT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MIGRATION_LOCK = 0x46484952  # "FHIR": one migrating process at a time

Revisions = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class _Line:
    """Revisions that follow each other. versions: their folder under migrations."""

    versions: str
    head: str


_OF_TENANTS = _Line("versions", HEAD)
_OF_SERVER = _Line("server", SERVER_HEAD)


def schema_name(tenant: str) -> str:
    """The PostgreSQL schema that holds a tenant's data.

    Raises ValueError for a name that is not lower-case letters, digits and underscores.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError(
            f"tenant {tenant!r}: expected 1 to 40 lower-case letters, digits or underscores, "
            "beginning with a letter"
        )
    return f"tenant_{tenant}"


def current_revision(database_url: str, tenant: str) -> str | None:
    """The revision a tenant's schema stands at, or None when it does not exist yet."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        return _revision(connection, schema_name(tenant))


def migrate(
    database_url: str,
    tenant: str = DEFAULT_TENANT,
    *,
    to: str = HEAD,
    server_url: str | None = None,
) -> Revisions:
    """Create or upgrade a tenant's schema, the server's before; several processes may do so.

    to: the revision to stop at. server_url: what the server logs in with, if it is another user.
    Returns the revisions before and after. Raises psycopg.OperationalError when the database is
    out of reach and RuntimeError when it was made by a newer release.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        migrating = _Migrating(database_url, connection, server_url)
        migrating.server()
        found = migrating.tenant(tenant, to)
        migrating.grant()
    return found


def migrate_all(
    database_url: str, server_url: str | None = None
) -> tuple[dict[str, Revisions], list[str]]:
    """Create or upgrade the server's schema and those of all tenants; the first is made.

    Returns the revisions before and after by schema, and what PostgreSQL does not see to for want
    of roles. Raises as `migrate`.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        migrating = _Migrating(database_url, connection, server_url)
        done = {SERVER_SCHEMA: migrating.server()}
        rows = connection.execute(
            f"select name from {SERVER_SCHEMA}.tenant where state <> 'leaving'"
        ).fetchall()
        for tenant in sorted({DEFAULT_TENANT} | {name for (name,) in rows}):
            done[schema_name(tenant)] = migrating.tenant(tenant, HEAD)
        return done, migrating.grant()


class _Migrating:
    """One database on its way. connection: the owner's, of the same URL."""

    def __init__(
        self, url: str, connection: "psycopg.Connection[Any]", server_url: str | None
    ) -> None:
        self._url = url
        self._connection = connection
        self._server_url = server_url
        self._changed: set[str] = set()

    def server(self) -> Revisions:
        """Bring the server's schema."""
        return self._bring(SERVER_SCHEMA, _OF_SERVER, SERVER_HEAD)

    def tenant(self, tenant: str, to: str) -> Revisions:
        """Bring a tenant's schema, and have the tenant served."""
        found = self._bring(schema_name(tenant), _OF_TENANTS, to)
        self._connection.execute(_REGISTER, (tenant, datetime.now(UTC)))
        return found

    def grant(self) -> list[str]:
        """Give the server its rights on what is new; what is missing for want of roles."""
        connection = self._connection
        login = roles.login_of(connection, self._server_url)
        if SERVER_SCHEMA in self._changed or not roles.has_server(connection, login):
            with self._alone():
                roles.grant_server(connection, login)
        found = roles.standings(connection, login)
        wanting = [
            each.tenant
            for each in found
            if not each.ready or schema_name(each.tenant) in self._changed
        ]
        if wanting:
            with self._alone():
                for tenant in wanting:
                    roles.grant_tenant(connection, tenant, schema_name(tenant), login)
            found = roles.standings(connection, login)
        if connection.execute(_SERVE).rowcount:
            connection.execute("select pg_notify('fhir_server_tenant', '')")
        return roles.weaknesses(login, found)

    def _bring(self, schema: str, line: _Line, to: str) -> Revisions:
        before = _revision(self._connection, schema)
        if before is not None and before > line.head:
            raise RuntimeError(
                f"the database is at revision {before}, this release knows up to {line.head}: "
                "install the release that made it, or a later one"
            )
        if before != to:
            _upgrade(self._url, schema, line, to)
            self._changed.add(schema)
        return before, to

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else migrates."""
        self._connection.execute("select pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        try:
            yield
        finally:
            self._connection.execute("select pg_advisory_unlock(%s)", (_MIGRATION_LOCK,))


_REGISTER = (
    f"insert into {SERVER_SCHEMA}.tenant (name, created, state) values (%s, %s, 'coming') "
    "on conflict (name) do nothing"
)
# Nobody serves a tenant before the server may do with it what it has to.
_SERVE = f"update {SERVER_SCHEMA}.tenant set state = 'ready' where state = 'coming'"


def _revision(connection: "psycopg.Connection[Any]", schema: str) -> str | None:
    if connection.execute("select to_regclass(%s)", [f"{schema}.alembic_version"]).fetchone() == (
        None,
    ):
        return None
    query = sql.SQL("select version_num from {}").format(sql.Identifier(schema, "alembic_version"))
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else None


def _upgrade(database_url: str, schema: str, line: _Line, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    config = Config()
    scripts = folder("migrations")
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(scripts / line.versions))
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database_url),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(text(f'create schema if not exists "{schema}"'))
        connection.execute(text(f'set search_path to "{schema}"'))
        connection.commit()
        config.attributes["connection"] = connection
        config.attributes["schema"] = schema
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()
