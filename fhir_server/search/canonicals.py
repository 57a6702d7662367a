"""Definitions by canonical URL: what the tenant stores, then what comes with R4."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.search import keys
from fhir_server.storage import definition_state
from fhir_server.storage.definition_state import States
from fhir_server.storage.store import Store
from fhir_server.terminology.shipped import PLACE, Shipped, shipped
from fhir_server.terminology.sources import Heading, Held, Name

# `xmin` tells apart two versions of one number of which one was rolled back.
_LOCATE = """
select wanted.key, r.rid, r.version, r.xmin::text
from unnest(%s::bigint[]) as wanted (key)
join {s}.resource r on r.keys @> array[wanted.key] and r.content is not null
order by r.rid"""

_LOCATE_BY_ID = """
select r.type, r.id, r.rid, r.version, r.xmin::text
from {s}.resource r
join unnest(%s::text[], %s::text[]) as wanted (type, id)
  on r.type = wanted.type and r.id = wanted.id
where r.content is not null"""

_HEADINGS = """
select r.rid, r.version, r.xmin::text, r.content->>'url', r.content->>'version',
       r.content->>'status', r.content->>'content'
from {s}.resource r where r.rid = any(%s::bigint[]) and r.content is not null"""

_CONTENTS = """
select r.rid, r.version, r.xmin::text, coalesce(r.exact, r.content::text)
from {s}.resource r where r.rid = any(%s::bigint[]) and r.content is not null"""

_REFERENCE = re.compile(r"(CodeSystem|ValueSet|ConceptMap)/[A-Za-z0-9.-]{1,64}")


class StoredAndShipped:
    """Sources of terminology: a tenant's own resources stand before those of R4.

    A name may also be a reference to a resource of this server: `ValueSet/id`, or with the base
    URL before it (R4 search.html#token, `:in`).
    """

    def __init__(self, come_with_r4: Shipped | None = None) -> None:
        self._shipped = come_with_r4 or shipped()

    async def locate(
        self, ctx: Context, store: Store, names: Collection[Name]
    ) -> Mapping[Name, tuple[Held, ...]]:
        """What is held under each name now, the tenant's own first."""
        found: dict[Name, list[Held]] = {name: [] for name in names}
        by_id = {name: id_ for name in names if (id_ := _own_reference(ctx, name))}
        by_key = {_key(name): name for name in names if name not in by_id}
        if by_key:
            for key, *held in await _rows(ctx, store, _LOCATE, [list(by_key)]):
                found[by_key[key]].append(Held(ctx.tenant, *held))
        if by_id:
            parts = [id_.split("/") for id_ in by_id.values()]
            wanted = [[type_ for type_, _ in parts], [id_ for _, id_ in parts]]
            rows = await _rows(ctx, store, _LOCATE_BY_ID, wanted)
            held_by_id = {f"{type_}/{id_}": Held(ctx.tenant, *held) for type_, id_, *held in rows}
            for name, id_ in by_id.items():
                found[name] += [held_by_id[id_]] if id_ in held_by_id else []
        return {name: (*held, *self._shipped.locate(name)) for name, held in found.items()}

    async def headings(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, Heading]:
        """The headings of those that still exist."""
        found = {one: self._shipped.heading(one) for one in held if one.place == PLACE}
        stored = [one.row for one in held if one.place != PLACE]
        if stored:
            for rid, version, writer, *heading in await _rows(ctx, store, _HEADINGS, [stored]):
                said = Heading(*(value or "" for value in heading))
                found[Held(ctx.tenant, rid, version, writer)] = said
        return found

    async def contents(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, bytes]:
        """The JSON of those that still exist."""
        found = {one: self._shipped.content(one) for one in held if one.place == PLACE}
        stored = [one.row for one in held if one.place != PLACE]
        if stored:
            for rid, version, writer, content in await _rows(ctx, store, _CONTENTS, [stored]):
                found[Held(ctx.tenant, rid, version, writer)] = content.encode()
        return {one: content for one, content in found.items() if one in held}

    async def states(self, ctx: Context, store: Store) -> States:
        """By type, what differs whenever a definition was written or deleted."""
        async with store.connection(ctx.tenant) as connection:
            return await definition_state.states(connection, ctx.tenant)


def _key(name: Name) -> int:
    return keys.key(keys.parameter_name(name.type, "url"), name.url)


def _own_reference(ctx: Context, name: Name) -> str:
    """`ValueSet/id` if the name refers to a resource of this server, else nothing."""
    text = keys.reference_text(name.url, ctx.base_url)
    match = _REFERENCE.fullmatch(text)
    return text if match and match[1] == name.type else ""


async def _rows(
    ctx: Context, store: Store, text: str, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    text = text.replace("{s}", store.statements(ctx.tenant).schema)
    async with store.connection(ctx.tenant) as connection:
        cursor = await connection.execute(text, values, prepare=False)
        return await cursor.fetchall()
