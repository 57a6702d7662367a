"""The tables of one tenant, in SQLAlchemy Core.

A tenant is a PostgreSQL schema, so the tables carry no tenant column. Comments on tables and
indexes say which query each one serves; they are stored in the database as well.
"""

from fhir_server.storage.schema import archive, audit, messages, resources, sealing, work
from fhir_server.storage.schema.base import metadata
from fhir_server.storage.schema.resources import ROW_ID_BLOCK

__all__ = ["APPEND_ONLY", "INDEX_PURPOSES", "RIGHTS", "ROW_ID_BLOCK", "metadata"]

# What each index is for; the migrations store these as comments in the database.
INDEX_PURPOSES = {
    **resources.INDEX_PURPOSES,
    **work.INDEX_PURPOSES,
    **messages.INDEX_PURPOSES,
    **archive.INDEX_PURPOSES,
    **audit.INDEX_PURPOSES,
    **sealing.INDEX_PURPOSES,
}

# Tables to whose rows the server adds, and which no role of its own may change or remove.
APPEND_ONLY = frozenset(audit.APPEND_ONLY)

# What the server may do with a table's rows: everything, unless it is said here. A table gets its
# rights when its schema is migrated, so what changes here comes with a revision.
RIGHTS = {"secret": ("select",)} | dict.fromkeys(APPEND_ONLY, ("select", "insert"))
