"""Reading resources again and replacing what they are found by, without a new version."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.resources import Values, array
from fhir_server.storage.store import Connection

# A row id, then the columns of a table of ordered values.
_OrderedRow = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A current version to be read again."""

    rid: int
    version: int
    content: str
    type: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is to be read: resources by what they are read for, and the highest row id."""

    counts: dict[str, int]
    end: int


async def extent(
    connection: Connection, tenant: str, types: Sequence[str], *, containers: bool
) -> Extent:
    """How many resources of some types there are now.

    containers: those count, too, that contain one of a type.
    """
    values = (list(types), list(types) if containers else [])
    cursor = await connection.execute(_EXTENT.replace("{s}", schema_name(tenant)), values)
    rows = await cursor.fetchall()
    counts = {str(type_): int(number) for type_, number, _ in rows}
    return Extent(counts, max((int(last) for _, _, last in rows), default=0))


_EXTENT = """
select type, count(distinct rid), max(rid) from (
  select type, rid from {s}.resource where type = any(%s) and content is not null
  union all select type, container from {s}.contained where type = any(%s)) found
group by type"""


async def following(
    connection: Connection,
    tenant: str,
    type_: str,
    after: int,
    end: int,
    most: int,
    *,
    containers: bool,
) -> list[Row]:
    """The next resources of a type by row id, up to `end`; with what contains one, or without."""
    inner = type_ if containers else None
    values = {"type": type_, "inner": inner, "after": after, "end": end, "most": most}
    query = _FOLLOWING.replace("{s}", schema_name(tenant))
    cursor = await connection.execute(query, values, prepare=False)
    return [Row(*row) for row in await cursor.fetchall()]


# At each place that a contained resource of the type has somewhere, containers come in order.
_FOLLOWING = """
with own as (
  select rid from {s}.resource
  where type = %(type)s and rid > %(after)s and rid <= %(end)s and content is not null
  order by rid limit %(most)s
), containers as (
  select found.container from generate_series(1, (
    select max(place) from {s}.contained where type = %(inner)s)) at (place),
  lateral (
    select c.container from {s}.contained c
    where c.type = %(inner)s and c.place = at.place and c.container > %(after)s
      and c.container <= %(end)s
    order by c.container limit %(most)s) found
)
select rid, version, coalesce(exact, content::text), type, id from {s}.resource
where rid in (select rid from own union select container from containers) and content is not null
order by rid limit %(most)s"""


async def replace_entries(
    connection: Connection, tenant: str, entries: Iterable[tuple[Row, Values]]
) -> None:
    """Replace the entries of resources, in the caller's transaction.

    One that has another version by now is left alone: its writer knows the newest parameters.
    """
    by_rid = {row.rid: (row, values) for row, values in entries}
    schema = schema_name(tenant)
    current = await _lock(connection, schema, [row for row, _ in by_rid.values()])
    rids = array(current)
    found = [(rid, by_rid[rid][1]) for rid in current]
    strings = [(rid, *item) for rid, values in found for item in values.strings]
    dates = [(rid, *item) for rid, values in found for item in values.dates]
    numbers = [(rid, *item) for rid, values in found for item in values.numbers]
    changed = await _replace_rows(connection, schema, _STRINGS, rids, strings)
    changed |= await _replace_rows(connection, schema, _DATES, rids, dates)
    changed |= await _replace_rows(connection, schema, _NUMBERS, rids, numbers)
    contained = [(rid, *item.row()) for rid, values in found for item in values.contained]
    changed |= await _replace_contained(connection, schema, rids, contained)
    await connection.execute(
        _KEYS.replace("{s}", schema),
        {
            "rids": rids,
            "keys": [array(values.keys) for _, values in found],
            "targets": [array(values.targets) for _, values in found],
            "changed": array(changed),
        },
        prepare=False,
    )


async def _lock(connection: Connection, schema: str, rows: Sequence[Row]) -> list[int]:
    """The row ids of those that are still current, locked in the order in which clients lock."""
    cursor = await connection.execute(
        f"select r.rid from {schema}.resource r "
        "join unnest(%s::bigint[], %s::integer[]) as known (rid, version) "
        "on r.rid = known.rid and r.version = known.version "
        "order by r.type, r.id for no key update of r",
        (array(row.rid for row in rows), array(row.version for row in rows)),
        prepare=False,
    )
    return [int(rid) for (rid,) in await cursor.fetchall()]


# A row whose ordered values changed is written too, so that a writer that waits for it sees that
# it is another one now.
_KEYS = """
update {s}.resource r set keys = wanted.keys::bigint[], targets = wanted.targets::bigint[]
from unnest(%(rids)s::bigint[], %(keys)s::text[], %(targets)s::text[])
  as wanted (rid, keys, targets)
where r.rid = wanted.rid
  and (r.keys <> wanted.keys::bigint[] or r.targets <> wanted.targets::bigint[]
       or r.rid = any(%(changed)s::bigint[]))"""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of ordered values: its columns after the row id, and their types."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]


_STRINGS = _Table("string_value", ("parameter", "value"), ("bigint", "text"))
_DATES = _Table("date_value", ("parameter", "low", "high"), ("bigint", "bigint", "bigint"))
_NUMBERS = _Table(
    "number_value",
    ("parameter", "unit", "low", "high"),
    ("bigint", "bigint", "numeric", "numeric"),
)


async def _replace_rows(
    connection: Connection, schema: str, table: _Table, rids: str, rows: Sequence[_OrderedRow]
) -> set[int]:
    """Delete what is not wanted, insert what is missing; give the row ids of either.

    Compared here, since most rows stay as they are and joins of two long lists are planned badly.
    """
    columns = ", ".join(("rid", *table.columns))
    cursor = await connection.execute(
        f"select {columns} from {schema}.{table.name} where rid = any(%s::bigint[])",
        (rids,),
        prepare=False,
    )
    old, wanted = set(await cursor.fetchall()), set(rows)
    gone, come = list(old - wanted), list(wanted - old)
    given = ", ".join(("%s::bigint[]", *(f"%s::{type_}[]" for type_ in table.types)))
    if gone:
        same = " and ".join(f"kept.{name} = gone.{name}" for name in ("rid", *table.columns))
        await connection.execute(
            f"delete from {schema}.{table.name} kept using unnest({given}) as gone ({columns}) "
            f"where kept.rid = any(%s::bigint[]) and {same}",
            (*_arrays(table, gone), array({rid for rid, *_ in gone})),
            prepare=False,
        )
    if come:
        await connection.execute(
            f"insert into {schema}.{table.name} ({columns}) select * from unnest({given})",
            _arrays(table, come),
            prepare=False,
        )
    return {rid for rid, *_ in (*gone, *come)}


_CONTAINED = "container, place, type, id, reference_key, {}"


async def _replace_contained(
    connection: Connection, schema: str, rids: str, rows: Sequence[tuple[Any, ...]]
) -> set[int]:
    """Replace the contained resources of each container where they differ; give those."""
    columns = _CONTAINED.format("keys::text, targets::text")
    cursor = await connection.execute(
        f"select {columns} from {schema}.contained where container = any(%s::bigint[])",
        (rids,),
        prepare=False,
    )
    changed = {rid for rid, *_ in set(await cursor.fetchall()) ^ set(rows)}
    if changed:
        await connection.execute(
            f"delete from {schema}.contained where container = any(%s::bigint[])",
            (array(changed),),
            prepare=False,
        )
    if come := [row for row in rows if row[0] in changed]:
        await connection.execute(
            f"insert into {schema}.contained ({_CONTAINED.format('keys, targets')}) "
            "select c, p, t, i, r, k::bigint[], g::bigint[] from unnest(%s::bigint[], %s::int[], "
            "%s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[]) n (c, p, t, i, r, k, g)",
            [list(column) for column in zip(*come, strict=True)],
            prepare=False,
        )
    return changed


def _arrays(table: _Table, rows: Iterable[_OrderedRow]) -> list[Any]:
    rids, *columns = zip(*rows, strict=True)
    values = zip(table.types, columns, strict=True)
    return [array(rids), *(list(one) if type_ == "text" else array(one) for type_, one in values)]
