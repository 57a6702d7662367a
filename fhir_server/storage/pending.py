"""What GIN indexes keep aside when rows are written, until it is merged."""

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

_INDEXES = ["resource_keys", "contained_keys"]

_MERGE = """
with mine as materialized (select pg_try_advisory_xact_lock(hashtextextended(%(name)s, 2)) as mine)
select coalesce(sum(gin_clean_pending_list(name::regclass)), 0)
from mine, unnest(%(indexes)s::text[]) name where mine"""


async def merge_pending(connection: Connection, tenant: str) -> int:
    """Merge it into the indexes; how many pages that were, none if somebody else is doing so."""
    schema = schema_name(tenant)
    indexes = [f'"{schema}"."{name}"' for name in _INDEXES]
    values = {"name": f"pending of {schema}", "indexes": indexes}
    cursor = await connection.execute(_MERGE, values)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
