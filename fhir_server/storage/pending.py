"""What GIN indexes keep aside when rows are written, until it is merged."""

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# Only the owner of an index may merge it, so a function of the owner's does.
_MERGE = """
with mine as materialized (select pg_try_advisory_xact_lock(hashtextextended(%(name)s, 2)) as mine)
select coalesce(sum(fhir_server.merge_pending(%(tenant)s)), 0) from mine where mine"""


async def merge_pending(connection: Connection, tenant: str) -> int:
    """Merge it into the indexes; how many pages that were, none if somebody else is doing so.

    connection: to what is no tenant's.
    """
    values = {"name": f"pending of {schema_name(tenant)}", "tenant": tenant}
    cursor = await connection.execute(_MERGE, values)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
