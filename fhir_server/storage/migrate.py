"""Brings the server's schema and each tenant's to the newest revision, with Alembic."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from fhir_server.packaged import folder

# The newest revisions under migrations/versions and migrations/server, kept here so that a start
# which has nothing to migrate need not import Alembic; a test compares them with the folders.
HEAD = "0007"
SERVER_HEAD = "0001"

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
    database_url: str, tenant: str = DEFAULT_TENANT, *, to: str = HEAD
) -> tuple[str | None, str]:
    """Create or upgrade a tenant's schema, the server's before; several processes may do so.

    to: the revision to stop at. Returns the revisions before and after. Raises
    psycopg.OperationalError when the database is out of reach and RuntimeError when it was made by
    a newer release.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        _bring(database_url, connection, SERVER_SCHEMA, _OF_SERVER)
        found = _bring(database_url, connection, schema_name(tenant), _OF_TENANTS, to)
        connection.execute(_REGISTER, (tenant, datetime.now(UTC)))
    return found


def migrate_all(database_url: str) -> dict[str, Revisions]:
    """Create or upgrade the server's schema and those of all tenants; the first is made.

    Returns the revisions before and after by schema. Raises as `migrate`.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        done = {SERVER_SCHEMA: _bring(database_url, connection, SERVER_SCHEMA, _OF_SERVER)}
        rows = connection.execute(f"select name from {SERVER_SCHEMA}.tenant").fetchall()
        for tenant in sorted({DEFAULT_TENANT} | {name for (name,) in rows}):
            schema = schema_name(tenant)
            done[schema] = _bring(database_url, connection, schema, _OF_TENANTS)
        connection.execute(_REGISTER, (DEFAULT_TENANT, datetime.now(UTC)))
    return done


_REGISTER = (
    f"insert into {SERVER_SCHEMA}.tenant (name, created, state) values (%s, %s, 'ready') "
    "on conflict (name) do nothing"
)


def _revision(connection: "psycopg.Connection[Any]", schema: str) -> str | None:
    if connection.execute("select to_regclass(%s)", [f"{schema}.alembic_version"]).fetchone() == (
        None,
    ):
        return None
    query = sql.SQL("select version_num from {}").format(sql.Identifier(schema, "alembic_version"))
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else None


def _bring(
    database_url: str,
    connection: "psycopg.Connection[Any]",
    schema: str,
    line: _Line,
    to: str | None = None,
) -> Revisions:
    to = to or line.head
    before = _revision(connection, schema)
    if before is not None and before > line.head:
        raise RuntimeError(
            f"the database is at revision {before}, this release knows up to {line.head}: "
            "install the release that made it, or a later one"
        )
    if before != to:
        _upgrade(database_url, schema, line, to)
    return before, to


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
