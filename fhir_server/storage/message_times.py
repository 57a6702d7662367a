"""How new what HL7 v2 messages said of resources is, so that an older message changes nothing."""

from collections.abc import Collection, Mapping
from datetime import datetime

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# Type and id.
Identity = tuple[str, str]


async def latest(
    connection: Connection, tenant: str, identities: Collection[Identity]
) -> dict[Identity, datetime]:
    """The time of the newest message about each of the resources that messages told of."""
    if not identities:
        return {}
    types, ids = zip(*sorted(set(identities)), strict=True)
    cursor = await connection.execute(
        f"select type, id, at from {schema_name(tenant)}.message_time "
        "join unnest(%s::text[], %s::text[]) as wanted (type, id) using (type, id)",
        (list(types), list(ids)),
    )
    return {(type_, id_): at for type_, id_, at in await cursor.fetchall()}


async def tell(connection: Connection, tenant: str, times: Mapping[Identity, datetime]) -> None:
    """Remember the times of messages about resources, in the transaction of their effect."""
    if not times:
        return
    rows = [(*identity, at) for identity, at in sorted(times.items())]
    types, ids, ats = map(list, zip(*rows, strict=True))
    table = f"{schema_name(tenant)}.message_time"
    await connection.execute(
        f"insert into {table} as known (type, id, at) "
        "select * from unnest(%s::text[], %s::text[], %s::timestamptz[]) "
        "on conflict (type, id) do update set at = greatest(known.at, excluded.at)",
        (types, ids, ats),
    )
