"""Brings each tenant's schema to the newest revision, with Alembic."""

import re

import psycopg
from psycopg import sql

from fhir_server.packaged import folder

# The newest revision under migrations/versions, kept here so that a start which has nothing to
# migrate need not import Alembic; a test compares it with the folder.
HEAD = "0006"

_TENANT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MIGRATION_LOCK = 0x46484952  # "FHIR": one migrating process at a time


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
    schema = schema_name(tenant)
    with psycopg.connect(database_url, autocommit=True) as connection:
        table = f"{schema}.alembic_version"
        if connection.execute("select to_regclass(%s)", [table]).fetchone() == (None,):
            return None
        query = sql.SQL("select version_num from {}").format(
            sql.Identifier(schema, "alembic_version")
        )
        row = connection.execute(query).fetchone()
    return str(row[0]) if row else None


def migrate(
    database_url: str, tenant: str = "default", *, to: str = HEAD
) -> tuple[str | None, str]:
    """Create or upgrade a tenant's schema; several processes may call it at once.

    to: the revision to stop at. Returns the revisions before and after. Raises
    psycopg.OperationalError when the database is out of reach and RuntimeError when it was made by
    a newer release.
    """
    before = current_revision(database_url, tenant)
    if before == to:
        return before, before
    if before is not None and before > HEAD:
        raise RuntimeError(
            f"the database is at revision {before}, this release knows up to {HEAD}: "
            "install the release that made it, or a later one"
        )
    _upgrade(database_url, tenant, to)
    return before, to


def _upgrade(database_url: str, tenant: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    schema = schema_name(tenant)
    config = Config()
    config.set_main_option("script_location", str(folder("migrations")))
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
