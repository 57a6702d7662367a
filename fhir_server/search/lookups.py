"""Looks up what is linked to something: by type and id, by version, by url, or by who refers to it.

A first statement finds what most pages include, and reads its JSON at once. If there is more, or
versions are named, a second one counts all of it and reads the JSON of as much as is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fhir_server.search import keys
from fhir_server.search.links import Links
from fhir_server.search.settle import Settling, settle
from fhir_server.search.sql import Writer
from fhir_server.storage.resources import array
from fhir_server.storage.seal import opened

# Row id and version, or a place in the order of what comes along.
Place: TypeAlias = tuple[int, int]
START: Place = (0, 0)
_CURRENT_PLACE = 2**31 - 1

# More rows than this are not taken at once.
_AT_ONCE = 200


@dataclass(slots=True)
class Row:
    """A version of a resource, with or without its JSON.

    old: it is not the current version; a reference names it.
    """

    rid: int
    version: int
    type: str
    id: str
    old: bool
    content: bytes | None

    @property
    def place(self) -> Place:
        """Its row id and version."""
        return self.rid, self.version

    @property
    def order(self) -> Place:
        """Its place in the order of what comes along: a current version after superseded ones.

        Whatever version is current has the same place, so that none comes again when it changes.
        """
        return self.rid, self.version if self.old else _CURRENT_PLACE


@dataclass(slots=True)
class Wanted:
    """What is looked for: targets of links, and keys of what refers to something."""

    links: Links = field(default_factory=Links)
    keys: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        links = self.links
        return bool(links.current or links.versions or links.canonicals or self.keys)


async def find(
    at: Settling, wanted: Wanted, known: Sequence[int], *, after: Place, most: int, read: int
) -> tuple[list[Row], int]:
    """The first `most` rows after a place, and how many there are; the JSON of `read` of them.

    known: row ids of resources whose current versions shall not come.
    """
    if not wanted:
        return [], 0
    branches, values = _branches(wanted, array(known), *await _visible(at))
    if after == START and not wanted.links.versions:
        text = f"{_union(branches, _JSON)} limit %s"
        rows = await at.rows("include", text, [*values, _AT_ONCE + 1])
        if len(rows) <= _AT_ONCE:
            unique = {row[0]: _row(at, row) for row in rows}
            return [unique[rid] for rid in sorted(unique)][:most], len(unique)
    content, limits = _CURRENT, [max(read, 0)]
    if wanted.links.versions:
        content, limits = f"{_CURRENT} union all {_SUPERSEDED}", limits * 2
    text = _FIND.format(found=_union(branches, ""), content=content)
    rows = await at.rows("include: count all", text, [*values, *after, most, *limits])
    return [_row(at, row[:-1]) for row in rows if row[0] is not None], rows[0][-1]


async def load(at: Settling, places: Sequence[Place]) -> list[Row]:
    """The versions at these places, superseded ones included."""
    values = [array(rid for rid, _ in places), array(version for _, version in places)]
    return [_row(at, row) for row in await at.rows("include: read versions", _LOAD, values)]


async def used(at: Settling, types: Sequence[str]) -> set[tuple[str, str]]:
    """The parameters that have values, by type and code."""
    by_hash = {keys.hash64(keys.presence_parameter(type_)): type_ for type_ in types}
    rows = await at.rows("include: parameters in use", _USED, [array(by_hash)])
    return {(by_hash[presence], code) for presence, code in rows}


def _row(at: Settling, row: tuple[Any, ...]) -> Row:
    found = Row(*row)
    found.content = opened(at.seal, found.type, found.id, found.content)
    return found


def _union(branches: Sequence[str], more: str) -> str:
    """All that the queries find, with another column perhaps."""
    return " union all ".join(branch.replace("{more}", more) for branch in branches)


async def _visible(at: Settling) -> tuple[str, list[Any]]:
    """What holds for a row `r` that may be seen, after what is asked anyway."""
    if at.visible is None:
        return "", []
    writer = Writer(gathering=False)
    text = writer.write(await settle(at.visible.of(()), at), "r")
    return f" and ({text})", writer.values


def _branches(
    wanted: Wanted, known: str, visible: str, seen: list[Any]
) -> tuple[list[str], list[Any]]:
    """A query for each way in which targets are named, and the values of all."""
    branches: list[str] = []
    values: list[Any] = []
    links = wanted.links
    if links.current:
        branches.append(_REFERRED)
        targets = (keys.hash64_uncached("/".join(target)) for target in links.current)
        values += [array(targets), known, *seen]
    if wanted.keys:
        branches.append(_REFERRING)
        values += [array(wanted.keys), known, *seen]
    if links.canonicals:
        branches.append(_CANONICAL)
        urls = [
            (keys.key(keys.parameter_name(type_, "url"), url), url, version)
            for type_, url, version in links.canonicals
        ]
        values += [*map(list, zip(*urls, strict=True)), known, *seen]
    if links.versions:
        branches.append(_VERSION)
        values += [*map(list, zip(*links.versions, strict=True)), *seen]
    return [branch.replace("{visible}", visible) for branch in branches], values


# With `offset 0` PostgreSQL looks up one by one, whatever it expects to find. Of many frequent keys
# it would else compare all with every row: 4 s instead of 0.1 s for 1,000 keys in 100,000 rows.
_LIVE = "r.content is not null and r.rid <> all(%s::bigint[]){visible}"
_ROW = "select r.rid, r.version, r.type, r.id, false as old{more} from {s}.resource r"
_JSON = ", convert_to(coalesce(r.exact, r.content::text), 'UTF8')"
_REFERRED = f"{_ROW} where r.reference_key = any(%s::bigint[]) and {_LIVE}"
_REFERRING = (
    "select r.* from unnest(%s::bigint[]) w (key) cross join lateral "
    f"({_ROW} where r.keys @> array[w.key] and {_LIVE} offset 0) r"
)
_CANONICAL = (
    "select r.* from unnest(%s::bigint[], %s::text[], %s::text[]) w (key, url, version) "
    f"cross join lateral ({_ROW} where r.keys @> array[w.key] and r.content->>'url' = w.url "
    f"and (w.version is null or w.version = r.content->>'version') and {_LIVE} offset 0) r"
)
_VERSION = (
    "select r.rid, w.version, r.type, r.id, r.version <> w.version as old "
    "from unnest(%s::text[], %s::text[], %s::int[]) w (type, id, version) "
    "join {s}.resource r on r.type = w.type and r.id = w.id "
    "where ((r.version = w.version and r.content is not null) or exists ("
    "select from {s}.history h where h.type = w.type and h.id = w.id "
    "and h.version = w.version and h.content is not null)){visible}"
)
_CURRENT = (
    "select convert_to(coalesce(r.exact, r.content::text), 'UTF8') as json from {s}.resource r "
    "where r.rid = p.rid and r.version = p.version and p.n <= %s"
)
_SUPERSEDED = (
    "select convert_to(coalesce(h.exact, h.content::text), 'UTF8') from {s}.history h "
    "where p.old and h.type = p.type and h.id = p.id and h.version = p.version and p.n <= %s"
)
_FIND = (
    "with found as materialized (select distinct * from ({found}) f "
    f"where (f.rid, case when f.old then f.version else {_CURRENT_PLACE} end) > (%s, %s)), "
    "page as (select *, row_number() over (order by rid, old desc, version) as n from found "
    "order by rid, old desc, version limit %s) "
    "select p.rid, p.version, p.type, p.id, p.old, j.json, c.total "
    "from (select count(*) as total from found) c left join "
    "(page p left join lateral ({content} offset 0) j on true) on true "
    "order by p.rid, p.old desc, p.version"
)
_LOAD = (
    "select r.rid, w.version, r.type, r.id, r.version <> w.version, convert_to(case "
    "when r.version = w.version then coalesce(r.exact, r.content::text) else ("
    "select coalesce(h.exact, h.content::text) from {s}.history h "
    "where h.type = r.type and h.id = r.id and h.version = w.version) end, 'UTF8') "
    "from unnest(%s::bigint[], %s::int[]) w (rid, version) join {s}.resource r on r.rid = w.rid"
)
_USED = (
    "select distinct parameter, unnest(string_to_array(value, ',')) from {s}.vocabulary "
    "where parameter = any(%s::bigint[])"
)
