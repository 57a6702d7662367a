"""Runs a search that was understood, a page at a time.

Nobody knows beforehand whether a condition holds for most resources or for few, and the two want
opposite ways: walking through the order until the page is full, or gathering all matches by index
and sorting them. So a page is found by steps, and the first one that is enough ends it: a short
walk; if that found something, a longer one from there; a gathering of at most so many matches; a
longer walk for what turned out to be many; and, for what is many and all far from where the page
begins, a gathering of them all. What was measured for each stands in docs/performance.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.search import patient_dates, sources
from fhir_server.search.conditions import ALWAYS, NEVER, AllOf, Condition, Keys, Ordered
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling, conversions, settle, settled
from fhir_server.search.sources import Order, Position, Source
from fhir_server.search.sql import Writer, countable
from fhir_server.search.statistics import Density
from fhir_server.storage.resources import Stored
from fhir_server.storage.seal import Seal, opened

SHORT_WALK = 300
LONG_WALK = 6_000
# Matches in a short walk from which a long one is likely to fill a page.
PROMISING = 2
MOST_GATHERED = 5_000
# Up to here an estimated total is an exact one.
MOST_COUNTED = 10_000

_COLUMNS = (
    "w.rid, w.type, w.id, w.version, w.last_updated, w.method, "
    "convert_to(coalesce(w.exact, w.content::text), 'UTF8')"
)
_WIDTH = 7


@dataclass(slots=True)
class Page:
    """One page of matches, in the order of the search.

    positions: of the first and the last match; empty without matches.
    more: whether there are matches beyond, in the direction that was read.
    total: how many match, where that came to be known.
    """

    matches: list[Stored] = field(default_factory=list)
    positions: tuple[Position, ...] = ()
    more: bool = False
    total: int | None = None


@dataclass(slots=True)
class _Rows:
    """Rows found in order, each with its position."""

    found: list[tuple[Any, ...]]
    total: int | None = None
    complete: bool = True


async def page(
    at: Settling, query: Query, *, size: int, after: Position | None = None, backwards: bool = False
) -> Page:
    """The matches that follow a position, at most `size`; those before it if `backwards`."""
    search = await _Search.of(at, query, backwards)
    rows = await search.rows(size + 1, after)
    return _page(rows, size, search.order, at.seal)


async def count(at: Settling, query: Query) -> int:
    """How many resources match."""
    at = await at.informed()
    condition = await settled(query.types, query.condition, at)
    writer = Writer(gathering=True, common=at.common)
    where = _where(query, condition, writer)
    rows = await at.rows(
        "count", f"select count(*) from {{s}}.resource r where {where}", writer.values
    )
    return int(rows[0][0])


async def estimate(at: Settling, query: Query) -> int:
    """How many resources match, counted while that is cheap and then as PostgreSQL expects."""
    at = await at.informed()
    condition = await settled(query.types, query.condition, at)
    writer = Writer(gathering=True, common=at.common)
    where = _where(query, condition, writer)
    text = f"select from {{s}}.resource r where {where}"
    counted = f"select count(*) from ({text} limit %s) counted"
    rows = await at.rows("count", counted, [*writer.values, MOST_COUNTED + 1])
    if rows[0][0] <= MOST_COUNTED:
        return int(rows[0][0])
    return max(MOST_COUNTED, round(await _expected(at, text, writer.values)))


async def _expected(at: Settling, text: str, values: list[Any]) -> float:
    """How many rows PostgreSQL expects of a statement."""
    rows = await at.rows("estimate", f"explain (format json) {text}", values)
    return float(rows[0][0][0]["Plan"]["Plan Rows"])


async def ids(at: Settling, query: Query) -> list[str]:
    """Up to two ids of matches: enough to tell none, one and several."""
    at = await at.informed()
    condition = await settled(query.types, query.condition, at)
    writer = Writer(gathering=True, common=at.common)
    where = _where(query, condition, writer)
    text = f"select min(r.id), max(r.id) from {{s}}.resource r where {where}"
    ((lowest, highest),) = await at.rows("ids", text, writer.values)
    return sorted({lowest, highest} - {None})


async def meets(at: Settling, identity: tuple[str, str], condition: Condition) -> bool:
    """Whether there is a resource of this type and id, and it meets a condition."""
    writer = Writer(gathering=False)
    where = writer.write(await settle(condition, at), "r")
    text = f"select from {{s}}.resource r where r.type = %s and r.id = %s and {where}"
    return bool(await at.rows("one resource", text, [*identity, *writer.values]))


def _where(query: Query, condition: Condition, writer: Writer) -> str:
    live = writer.live(query.types, condition, "r")
    return f"{live} and {writer.write(condition, 'r')}"


@dataclass(slots=True)
class _Search:
    at: Settling
    types: tuple[str, ...]
    condition: Condition
    order: Order
    counts: tuple[int, ...] = ()

    @classmethod
    async def of(cls, at: Settling, query: Query, backwards: bool) -> "_Search":
        at = await at.informed()
        condition = await settled(query.types, query.condition, at)
        measured = any(key.measured for key in query.sort)
        units = await conversions(at) if measured else ()
        return cls(at, query.types, condition, Order(query.sort, backwards, units))

    async def rows(self, wanted: int, after: Position | None) -> _Rows:
        """The rows of a page, by the first step that is enough."""
        if self.condition == NEVER:
            return _Rows([], 0)
        if not self.order.walkable:
            return await self._gather(wanted, after, None)
        if self.condition == ALWAYS:
            return _Rows(await self._all(wanted, after))
        found = await self._of_one_patient(wanted, after)
        if len(found) == wanted:
            return _Rows(found)
        first = sources.segments(self.types, self.order, after)[0]
        found = await self._walked(first, wanted)
        if len(found) == wanted:
            return _Rows(found)
        gathered = await self._gather(wanted, after, MOST_GATHERED)
        if gathered.complete:
            return gathered
        found = await self._step(first, wanted, LONG_WALK)
        return _Rows(found) if len(found) == wanted else await self._gather(wanted, after, None)

    async def _of_one_patient(self, wanted: int, after: Position | None) -> list[tuple[Any, ...]]:
        """The matches by date where they are a patient's; those without a date do not come."""
        dated = after[0] is not None if after is not None else not self.order.backwards
        about = next((m.about for m in self._members() if isinstance(m, Keys) and m.about), 0)
        if not (dated and about and len(self.types) == 1 and self.order.keys):
            return []
        (key,) = self.order.keys
        own = patient_dates.parameter(self.types[0], key.code)
        if own is None or self.at.common.density(self.condition) is Density.RARE:
            return []
        order = replace(self.order, keys=(replace(key, parameter=own ^ about),))
        source = sources.by_value(self.types, order, after)
        return await self._step(source, wanted, LONG_WALK)

    async def _walked(self, first: Source, wanted: int) -> list[tuple[Any, ...]]:
        """What a walk finds, as long as it promises to fill the page."""
        density = self.at.common.density(self.condition)
        narrow = any(isinstance(item, Ordered) and item.narrow for item in self._members())
        if density is Density.RARE or narrow:
            return []
        # Of several frequent conditions together nothing is known.
        frequent = density is Density.FREQUENT and not isinstance(self.condition, AllOf)
        if not frequent:
            found = await self._step(first, wanted, SHORT_WALK)
            if not PROMISING <= len(found) < wanted:
                return found
            last = self.order.position(found[-1][0], found[-1][_WIDTH:])
            following = sources.segments(self.types, self.order, last)[0]
            return found + await self._step(following, wanted - len(found), LONG_WALK)
        return await self._step(first, wanted, LONG_WALK)

    async def _all(self, wanted: int, after: Position | None) -> list[tuple[Any, ...]]:
        """The rows of a page that everything is on: a walk a little longer than the page."""
        first = sources.segments(self.types, self.order, after)[0]
        found = await self._step(first, wanted, 2 * wanted)
        return found if len(found) == wanted else await self._walk(wanted, after)

    async def _walk(self, wanted: int, after: Position | None) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for source in sources.segments(self.types, self.order, after):
            found += await self._step(source, wanted - len(found), None)
            if len(found) == wanted:
                break
        return found

    async def _step(self, source: Source, wanted: int, limit: int | None) -> list[tuple[Any, ...]]:
        """The matches among the next `limit` rows of a source.

        A short walk does not begin where an index of ordered values shows that few rows can match.
        """
        ranges = self._ranges() if limit == SHORT_WALK else []
        if len(ranges) > 1:
            return await self._counting_walk(source, wanted, ranges)
        values: list[Any] = []
        text = self._matches(source, wanted, limit, values, ranges)
        what = "walk to the end" if limit is None else f"walk of {limit} rows"
        return await self.at.rows(what, text, values)

    async def _counting_walk(
        self, source: Source, wanted: int, ranges: list[Ordered]
    ) -> list[tuple[Any, ...]]:
        """A short walk that also counts what the index of each condition finds."""
        values: list[Any] = []
        writer = Writer(gathering=True, values=values)
        counts = ", ".join(writer.count(item, SHORT_WALK + 1) for item in ranges)
        names = ", ".join(f"n{at}" for at in range(len(ranges)))
        worth = f"(select least({names}) from tried) > {SHORT_WALK} and "
        walk = self._matches(source, wanted, SHORT_WALK, values, worth=worth)
        text = (
            f"with tried ({names}) as materialized (select {counts}) "
            f"select w.*, tried.* from tried left join ({walk}) w on true order by {source.order}"
        )
        rows = await self.at.rows(f"walk of {SHORT_WALK} rows", text, values)
        self.counts = rows[0][-len(ranges) :]
        return [row[: -len(ranges)] for row in rows if row[0] is not None]

    def _matches(
        self,
        source: Source,
        wanted: int,
        limit: int | None,
        values: list[Any],
        ranges: Sequence[Ordered] = (),
        worth: str = "",
    ) -> str:
        """The statement that checks rows of a source one after another.

        ranges, worth: what has to have many rows, and what has to hold, for it to begin.
        """
        writer = Writer(gathering=False, values=values)
        values += source.values
        inner = source.text.replace("{limit}", "" if limit is None else " limit %s")
        if limit is not None:
            values.append(limit)
        for item in ranges:
            worth += f"{writer.count(item, SHORT_WALK + 1)} > {SHORT_WALK} and "
        where = writer.write(self.condition, "w")
        values.append(wanted)
        return (
            f"select {_COLUMNS}, w.k0 from ({inner}) w where {worth}{where} "
            f"order by {source.order} limit %s"
        )

    def _ranges(self) -> list[Ordered]:
        """The conditions on ordered values whose rows an index counts."""
        return [m for m in self._members() if isinstance(m, Ordered) and countable(m)]

    def _members(self) -> tuple[Condition, ...]:
        return self.condition.of if isinstance(self.condition, AllOf) else (self.condition,)

    async def _gather(self, wanted: int, after: Position | None, most: int | None) -> _Rows:
        """All matches by the index that finds them, sorted; incomplete when over `most`."""
        driver = await self._driver(most)
        writer = Writer(gathering=True, common=self.at.common, driver=driver)
        candidates = tried = ""
        if driver is not None and most is not None:
            candidates, tried = self._tried(writer, driver, most)
        live = writer.live(self.types, self.condition, "r")
        where = writer.write(self.condition, "r")
        values = writer.values
        limit = few = ""
        if most is not None:
            limit = " limit %s"
            values.append(most + 1)
        names = [f"k{at}" for at in range(max(1, len(self.order.keys)))]
        keys = sources.key_columns(self.order, values)
        if most is not None:
            # What is too many to be sorted is not given its keys either.
            few = " where (select count(*) from found) <= %s"
            values.append(most)
        following = sources.following(self.order, after, values)
        order = self.order.by(names)
        text = (
            f"with {candidates}found as materialized (select r.rid{sources.carried(self.order)} "
            f"from {{s}}.resource r where {tried}{live} and {where}{limit}), "
            f"keyed as (select found.rid, {keys} from found{few}), page as (select * from keyed "
            f"where {following} order by {order} limit %s) "
            f"select {_COLUMNS}, {', '.join(names)}, c.total, "
            f"{'(select count(*) from candidates)' if tried else '0'} "
            f"from (select count(*) as total from found) c "
            f"left join (select r.*, {', '.join(names)} from page "
            f"join {{s}}.resource r using (rid)) w on true order by {order}"
        )
        rows = await self.at.rows("gathering", text, [*values, wanted])
        total, tried_first = rows[0][-2:]
        if most is not None and max(total, tried_first) > most:
            return _Rows([], None, complete=False)
        return _Rows([row[:-2] for row in rows if row[0] is not None], total)

    def _tried(self, writer: Writer, driver: Ordered, most: int) -> tuple[str, str]:
        """What keeps a gathering from starting where its candidates alone are too many.

        Ordered values come from an index in no time, but joining tens of thousands does not.
        """
        rows = writer.rows(driver)
        writer.values += (most + 1, most)
        writer.found_in = "candidates"
        candidates = f"candidates as materialized ({rows} limit %s), "
        return candidates, "(select count(*) from candidates) <= %s and "

    async def _driver(self, most: int | None) -> Ordered | None:
        """The condition on ordered values whose index finds, if one does: the one with fewest rows.

        When all matches are gathered, one condition alone needs no driver.
        """
        members = self._members()
        if any(self.at.common.density(item) is Density.RARE for item in members):
            return None
        found = self._ranges()
        if len(found) < 2:
            found = found or [item for item in members if isinstance(item, Ordered)]
            return found[0] if found and most is not None else None
        if not self.counts or min(self.counts) > SHORT_WALK:
            writer = Writer(gathering=True)
            counts = ", ".join(writer.count(item, MOST_GATHERED + 1) for item in found)
            text = f"select {counts}"
            (self.counts,) = await self.at.rows("rows of ordered values", text, writer.values)
        return found[self.counts.index(min(self.counts))]


def _page(rows: _Rows, size: int, order: Order, seal: Seal | None) -> Page:
    found = rows.found[:size]
    if order.backwards:
        found = found[::-1]
    matches = [Stored(*row[:_WIDTH]) for row in found]
    for each in matches if seal is not None else ():
        each.content = opened(seal, each.type, each.id, each.content)
    ends = (found[0], found[-1]) if found else ()
    positions = tuple(order.position(row[0], row[_WIDTH:]) for row in ends)
    return Page(matches, positions, len(rows.found) > size, rows.total)
