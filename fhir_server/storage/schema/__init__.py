"""The tables of one tenant, in SQLAlchemy Core.

A tenant is a PostgreSQL schema, so the tables carry no tenant column. Comments on tables and
indexes say which query each one serves; they are stored in the database as well.
"""

from fhir_server.storage.schema import archive, audit, messages, resources, work
from fhir_server.storage.schema.base import metadata
from fhir_server.storage.schema.resources import ROW_ID_BLOCK

__all__ = ["INDEX_PURPOSES", "ROW_ID_BLOCK", "metadata"]

# What each index is for; the migrations store these as comments in the database.
INDEX_PURPOSES = {
    **resources.INDEX_PURPOSES,
    **work.INDEX_PURPOSES,
    **messages.INDEX_PURPOSES,
    **archive.INDEX_PURPOSES,
    **audit.INDEX_PURPOSES,
}
