"""Reading what is stored and sealing it anew, without new versions."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.reindex import Row
from fhir_server.storage.resources import exact
from fhir_server.storage.store import Connection


class Old(NamedTuple):
    """A superseded version."""

    type: str
    id: str
    version: int
    content: str


class Message(NamedTuple):
    """A message of HL7 v2. place: where its ciphertext opens."""

    id: int
    place: str
    content: bytes


# By table, the place of a message.
_PLACES = {"message": "encode(sha256, 'hex')", "outgoing_message": "record"}
MESSAGES = tuple(_PLACES)


async def messages(
    connection: Connection, tenant: str, table: str, after: int, end: int, most: int
) -> list[Message]:
    """The next messages after an id, up to another. table: one of `MESSAGES`."""
    cursor = await connection.execute(
        f"select id, {_PLACES[table]}, content from {schema_name(tenant)}.{table} "
        "where id > %s and id <= %s order by id limit %s",
        (after, end, most),
    )
    return [Message(*row) for row in await cursor.fetchall()]


async def store_messages(
    connection: Connection, tenant: str, table: str, rows: Sequence[Message]
) -> None:
    """Store the contents of messages."""
    if not rows:
        return
    await connection.execute(
        f"update {schema_name(tenant)}.{table} m set content = new.content "
        "from unnest(%s::bigint[], %b::bytea[]) as new (id, content) where m.id = new.id",
        ([each.id for each in rows], [each.content for each in rows]),
        prepare=False,
    )


class Written(NamedTuple):
    """What is to be stored in the place of what was read."""

    row: Row | Old
    content: bytes


Key = tuple[str, str, int]


class Extent(NamedTuple):
    """How much is stored: versions and messages, and the highest id of each table by now."""

    total: int
    ends: dict[str, int]


async def extent(connection: Connection, tenant: str) -> Extent:
    """How much there is now."""
    cursor = await connection.execute(_EXTENT.replace("{s}", schema_name(tenant)))
    rows = await cursor.fetchall()
    return Extent(sum(row[1] for row in rows), {row[0]: row[2] for row in rows})


CURRENT = "resource"
_ENDS = {CURRENT: "rid", "history": "rid"} | dict.fromkeys(MESSAGES, "id")
_EXTENT = " union all ".join(
    f"select '{table}', count(*), coalesce(max({id_}), 0) from {{s}}.{table}"
    for table, id_ in _ENDS.items()
)


async def resources(
    connection: Connection, tenant: str, types: Sequence[str], after: int, end: int, most: int
) -> tuple[int | None, int, list[Row]]:
    """Of the next `most` resources after a row id those of some types, or with something in them.

    end: the highest row id. Gives the last one, None when there are no more, and how many
    resources were looked at.
    """
    query = _RESOURCES.replace("{s}", schema_name(tenant))
    values = {"types": list(types), "after": after, "end": end, "most": most}
    cursor = await connection.execute(query, values, prepare=False)
    rows = await cursor.fetchall()
    found = [Row(rid, *rest) for rid, *rest, wanted in rows if wanted]
    return (rows[-1][0] if rows else None), len(rows), found


# What a resource is in or has sealed makes it one to be looked into, whatever its type.
_WANTED = (
    "content is not null and (type = any(%(types)s) or content ? '~sealed' "
    "or content ? 'contained')"
)
_RESOURCES = f"""
select rid, version, case when wanted then coalesce(exact, content::text) end, type, id, wanted
from (select *, {_WANTED} as wanted from {{s}}.resource
      where rid > %(after)s and rid <= %(end)s
      order by rid limit %(most)s) r
order by rid"""


async def history(
    connection: Connection, tenant: str, types: Sequence[str], before: Key, most: int
) -> tuple[Key | None, int, list[Old]]:
    """The same of superseded versions before a type, id and version, the last of them first.

    So the versions that a resource gets meanwhile are behind, however fast they come.
    """
    query = _HISTORY.replace("{s}", schema_name(tenant))
    type_, id_, version = before
    values = {"types": list(types), "type": type_, "id": id_, "version": version, "most": most}
    cursor = await connection.execute(query, values, prepare=False)
    rows = await cursor.fetchall()
    found = [Old(*row[:-1]) for row in rows if row[-1]]
    return (rows[-1][:3] if rows else None), len(rows), found


_HISTORY = f"""
select type, id, version, case when wanted then coalesce(exact, content::text) end, wanted
from (select *, {_WANTED} as wanted from {{s}}.history
      where (type, id, version) < (%(type)s, %(id)s, %(version)s)
      order by type desc, id desc, version desc limit %(most)s) h
order by type desc, id desc, version desc"""


async def store_resources(connection: Connection, tenant: str, rows: Iterable[Written]) -> None:
    """Store the contents of current versions, of those that are current still.

    Locked in the order in which clients lock. A writer that waits for one sees that it is another
    row now.
    """
    found = {each.row.rid: each for each in rows if isinstance(each.row, Row)}
    if not found:
        return
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"select r.rid from {schema}.resource r "
        "join unnest(%s::bigint[], %s::integer[]) as known (rid, version) "
        "on r.rid = known.rid and r.version = known.version "
        "order by r.type, r.id for no key update of r",
        (list(found), [each.row.version for each in found.values()]),
        prepare=False,
    )
    current = [found[rid] for (rid,) in await cursor.fetchall()]
    await connection.execute(
        f"update {schema}.resource r set content = new.content::jsonb, exact = new.exact "
        "from unnest(%s::bigint[], %s::text[], %s::text[]) as new (rid, content, exact) "
        "where r.rid = new.rid",
        (
            [each.row.rid for each in current if isinstance(each.row, Row)],
            [each.content.decode() for each in current],
            [exact(each.content) for each in current],
        ),
        prepare=False,
    )


async def store_history(connection: Connection, tenant: str, rows: Sequence[Written]) -> None:
    """Store the contents of superseded versions."""
    if not rows:
        return
    await connection.execute(
        f"update {schema_name(tenant)}.history h "
        "set content = new.content::jsonb, exact = new.exact "
        "from unnest(%s::text[], %s::text[], %s::integer[], %s::text[], %s::text[]) "
        "as new (type, id, version, content, exact) "
        "where h.type = new.type and h.id = new.id and h.version = new.version",
        (
            [each.row.type for each in rows],
            [each.row.id for each in rows],
            [each.row.version for each in rows],
            [each.content.decode() for each in rows],
            [exact(each.content) for each in rows],
        ),
        prepare=False,
    )
