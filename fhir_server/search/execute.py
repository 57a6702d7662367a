"""Runs a search that was understood, a page at a time."""

from dataclasses import dataclass
from typing import Any

from fhir_server.search.query import Query
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

_COLUMNS = (
    "r.rid, r.type, r.id, r.version, r.last_updated, r.method, "
    "convert_to(coalesce(r.exact, r.content::text), 'UTF8')"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of matches in the stable default order, newest first.

    following: the position to continue from, None on the last page.
    """

    matches: list[Stored]
    following: int | None


async def page(
    connection: Connection, schema: str, query: Query, *, size: int, after: int | None
) -> Page:
    """The next `size` matches after a position."""
    condition, values = _where(query)
    if after is not None:
        condition += " and r.rid < %s"
        values.append(after)
    text = f"select {_COLUMNS} from {schema}.resource r where {condition}"
    rows = await _rows(
        connection, f"{text} order by r.rid desc limit %s", schema, [*values, size + 1]
    )
    matches = [Stored(*row) for row in rows[:size]]
    return Page(matches, matches[-1].rid if len(rows) > size and matches else None)


async def count(connection: Connection, schema: str, query: Query) -> int:
    """How many resources match."""
    condition, values = _where(query)
    text = f"select count(*) from {schema}.resource r where {condition}"
    return int((await _rows(connection, text, schema, values))[0][0])


async def ids(connection: Connection, schema: str, query: Query) -> list[str]:
    """Up to two ids of matches: enough to tell none, one and several."""
    condition, values = _where(query)
    text = f"select min(r.id), max(r.id) from {schema}.resource r where {condition}"
    ((lowest, highest),) = await _rows(connection, text, schema, values)
    return sorted({lowest, highest} - {None})


def _where(query: Query) -> tuple[str, list[Any]]:
    conditions = ["r.content is not null"]
    values: list[Any] = []
    if query.type:
        conditions.append("r.type = %s")
        values.append(query.type)
    for item in query.predicates:
        conditions.append(item.sql)
        values.extend(item.values)
    return " and ".join(conditions), values


async def _rows(
    connection: Connection, text: str, schema: str, values: list[Any]
) -> list[tuple[Any, ...]]:
    # Not prepared: the best plan depends on how common the values are, so each search is planned.
    cursor = await connection.execute(
        text.replace("{s}", schema), values, prepare=False, binary=True
    )
    return await cursor.fetchall()
