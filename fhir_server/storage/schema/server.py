"""The tables of the whole server, in the schema `fhir_server` beside those of the tenants."""

from sqlalchemy import Column, DateTime, PrimaryKeyConstraint, Table

from fhir_server.storage.schema.base import BYTEWISE, server_metadata
from fhir_server.storage.schema.identity import IDENTITY_INDEX_PURPOSES

__all__ = ["SERVER_INDEX_PURPOSES", "SERVER_RIGHTS", "server_metadata"]

tenant = Table(
    "tenant",
    server_metadata,
    Column("name", BYTEWISE, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("state", BYTEWISE, nullable=False, comment="coming, ready or leaving"),
    Column(
        "role",
        BYTEWISE,
        comment="the PostgreSQL role that has this tenant's rights; none if none could be made",
    ),
    PrimaryKeyConstraint("name", name="tenant_pkey"),
    comment="The territories of this server, each with a schema of its own.",
)

# What each index is for.
SERVER_INDEX_PURPOSES = {"tenant_pkey": "one tenant", **IDENTITY_INDEX_PURPOSES}

# What the server may do with a table's rows: everything, unless it is said here.
SERVER_RIGHTS = {"tenant": ("select",)}
