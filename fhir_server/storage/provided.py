"""Which resources a tenant has that came with the server, and what became of those it lacks."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

_NAME = 0x50524F5649444544


class Kept(NamedTuple):
    """A resource as it stands. tagged: what its tag of a system says, empty without one."""

    type: str
    id: str
    deleted: bool
    tagged: str


async def hold(connection: Connection, tenant: str) -> None:
    """Let nobody else bring a tenant's definitions up to date until the transaction ends."""
    await connection.execute(
        "select pg_advisory_xact_lock(%s # hashtextextended(%s, 0))", (_NAME, tenant)
    )


async def kept(
    connection: Connection,
    tenant: str,
    identities: Collection[tuple[str, str]],
    keys: Sequence[int],
    system: str,
) -> list[Kept]:
    """Those with one of the identities, and those that are found by one of the search keys."""
    types, ids = [type_ for type_, _ in identities], [id_ for _, id_ in identities]
    query = _KEPT.replace("{s}", schema_name(tenant))
    parameters = {"types": types, "ids": ids, "keys": list(keys), "system": system}
    cursor = await connection.execute(query, parameters, prepare=False)
    return [Kept(*row) for row in await cursor.fetchall()]


_KEPT = """
with found as (
  select r.rid from {s}.resource r
  join unnest(%(types)s::text[], %(ids)s::text[]) as wanted (type, id)
    on r.type = wanted.type and r.id = wanted.id
  union
  select r.rid from unnest(%(keys)s::bigint[]) as wanted (key)
  join {s}.resource r on r.keys @> array[wanted.key] and r.content is not null)
select r.type, r.id, r.content is null, coalesce((
  select tag->>'version' from jsonb_array_elements(r.content->'meta'->'tag') tag
  where tag->>'system' = %(system)s limit 1), '')
from found join {s}.resource r using (rid)"""
