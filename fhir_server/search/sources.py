"""Where the rows of a page come from, in order: the resources of a type, or the values of a sort.

A page is ordered by its sort keys and, last, by row id, which never changes: that is what makes
pages concatenate. Each source writes the rows that follow a position, at most so many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.search.sorting import SortKey

# A place in an order: for each sort key its value or None, and the row id.
Position = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a search.

    keys: what it is sorted by before the row id.
    backwards: read from the end, for the page before.
    units: hashes, factors and offsets of what quantities are converted with.
    """

    keys: tuple[SortKey, ...]
    backwards: bool = False
    units: tuple[Any, ...] = ()

    @property
    def newest_first(self) -> bool:
        """Whether row ids descend, when read forwards: by default, or as the first key does."""
        return self.keys[0].descending if self.keys else True

    @property
    def walkable(self) -> bool:
        """Whether an index has this order."""
        return not self.keys or (len(self.keys) == 1 and self.keys[0].walkable)

    def by(self, names: Sequence[str]) -> str:
        """What comes after `order by`, for rows `rid` with the keys in columns of these names."""
        parts = []
        for key, name in zip(self.keys, names, strict=False):
            word, _ = direction(key.descending, self.backwards)
            parts.append(f"{name} {word} nulls {'first' if self.backwards else 'last'}")
        word, _ = direction(self.newest_first, self.backwards)
        return ", ".join([*parts, f"rid {word}"])

    def position(self, rid: int, keys: Sequence[Any]) -> Position:
        """The position of a row with these keys."""
        return (*keys[: len(self.keys)], rid)


@dataclass(frozen=True, slots=True)
class Source:
    """A statement's rows `w` with `rid` and what they are sorted by.

    text: with `{limit}` where the number of rows that are read can be bounded.
    order: what comes after `order by`.
    """

    text: str
    values: list[Any]
    order: str


def direction(descending: bool, backwards: bool) -> tuple[str, str]:
    """The word after `order by`, and the comparison that goes on from a position."""
    return ("desc", "<") if descending != backwards else ("asc", ">")


def by_row(types: tuple[str, ...], order: Order, after: Position | None) -> Source:
    """The resources of some types, or of all, by row id."""
    word, compare = direction(order.newest_first, order.backwards)
    values: list[Any] = []
    where = live(types, values)
    if after is not None:
        where += f" and r.rid {compare} %s"
        values.append(after[-1])
    text = (
        f"select r.*, null as k0 from {{s}}.resource r where {where} order by r.rid {word}{{limit}}"
    )
    return Source(text, values, f"w.rid {word}")


def by_column(types: tuple[str, ...], order: Order, after: Position | None) -> Source:
    """The resources of some types, or of all, by a column of their own."""
    (key,) = order.keys
    word, compare = direction(key.descending, order.backwards)
    values: list[Any] = []
    where = live(types, values)
    if after is not None:
        where += f" and (r.{key.column}, r.rid) {compare} (%s, %s)"
        values += after
    text = (
        f"select r.*, r.{key.column} as k0 from {{s}}.resource r where {where} "
        f"order by r.{key.column} {word}, r.rid {word}{{limit}}"
    )
    return Source(text, values, f"w.k0 {word}, w.rid {word}")


def by_value(types: tuple[str, ...], order: Order, after: Position | None) -> Source:
    """The resources with a value of a parameter, by the value that comes first.

    types: matters where resources of all types have such values.
    """
    (key,) = order.keys
    word, compare = direction(key.descending, order.backwards)
    values: list[Any] = [key.parameter]
    where = "v.parameter = %s"
    if key.table == "number_value":
        where += " and v.unit = 0"
    if key.shared and types:
        where += " and v.rid in (select rid from {s}.resource where type = any(%s::text[]))"
        values.append(list(types))
    if after is not None:
        where += f" and (v.{key.column}, v.rid) {compare} (%s, %s)"
        values += after
    own = ", ".join(f"v.{item}" for item in key.tie)
    # Of several values of a resource only the one that comes first, read forwards, stands for it.
    earlier = ">" if key.descending else "<"
    other = ", ".join(f"o.{item}" for item in key.tie)
    text = (
        f"select r.*, v.{key.column} as k0 from (select v.rid, v.parameter, {own} "
        f"from {{s}}.{key.table} v where {where} "
        f"order by v.{key.column} {word}, v.rid {word}{{limit}}) v "
        f"join {{s}}.resource r on r.rid = v.rid where not exists (select from {{s}}.{key.table} o "
        f"where o.rid = v.rid and o.parameter = v.parameter and ({other}) {earlier} ({own}))"
    )
    return Source(text, values, f"w.k0 {word}, w.rid {word}")


def without_value(types: tuple[str, ...], order: Order, after: Position | None) -> Source:
    """The resources without a value of the parameter, which come last."""
    (key,) = order.keys
    word, compare = direction(order.newest_first, order.backwards)
    values: list[Any] = []
    where = live(types, values)
    where += (
        f" and not exists (select from {{s}}.{key.table} v "
        "where v.rid = r.rid and v.parameter = %s)"
    )
    values.append(key.parameter)
    if after is not None:
        where += f" and r.rid {compare} %s"
        values.append(after[-1])
    text = (
        f"select r.*, null as k0 from {{s}}.resource r where {where} order by r.rid {word}{{limit}}"
    )
    return Source(text, values, f"w.rid {word}")


def segments(types: tuple[str, ...], order: Order, after: Position | None) -> list[Source]:
    """The sources that, one after the other, give all rows that follow a position."""
    if not order.keys:
        return [by_row(types, order, after)]
    if not order.keys[0].table:
        return [by_column(types, order, after)]
    among_the_last = after is not None and after[0] is None
    if order.backwards:
        if among_the_last:
            return [without_value(types, order, after), by_value(types, order, None)]
        if after is not None:
            return [by_value(types, order, after)]
        return [without_value(types, order, None), by_value(types, order, None)]
    if among_the_last:
        return [without_value(types, order, after)]
    return [by_value(types, order, after), without_value(types, order, None)]


def carried(order: Order) -> str:
    """The columns of a resource `r` that its sort keys need, beside its row id."""
    columns = {key.column for key in order.keys if not (key.table or key.paths)}
    return "".join(f", r.{column}" for column in sorted(columns))


def key_columns(order: Order, values: list[Any]) -> str:
    """The sort keys of a row `found` as columns k0, k1 …; one empty column when there are none."""
    if not order.keys:
        return "null as k0"
    return ", ".join(f"{_key(key, order, values)} as k{at}" for at, key in enumerate(order.keys))


def _key(key: SortKey, order: Order, values: list[Any]) -> str:
    first = "max" if key.descending else "min"
    if key.measured:
        values += (*order.units, key.parameter)
        return (
            f"(select {first}(v.low * coalesce(u.factor, 1) + coalesce(u.plus, 0)) "
            "from {s}.number_value v left join unnest(%s::bigint[], %s::numeric[], %s::numeric[]) "
            "u (unit, factor, plus) on u.unit = v.unit "
            "where v.rid = found.rid and v.parameter = %s)"
        )
    if key.table:
        values.append(key.parameter)
        return (
            f"(select {first}(v.{key.column}) from {{s}}.{key.table} v "
            "where v.rid = found.rid and v.parameter = %s)"
        )
    if not key.paths:
        return f"found.{key.column}"
    texts = " union all ".join(
        "select jsonb_path_query(r.content, %s::jsonpath, '{}', true) #>> '{}'" for _ in key.paths
    )
    values += key.paths
    return (
        f'(select {first}(x collate "C") from {{s}}.resource r, lateral ({texts}) t (x) '
        "where r.rid = found.rid)"
    )


def following(order: Order, after: Position | None, values: list[Any]) -> str:
    """What holds for the keyed rows that follow a position."""
    if after is None:
        return "true"
    *keys, rid = after
    equal: list[str] = []
    bound: list[Any] = []
    parts: list[str] = []
    for at, (key, value) in enumerate(zip(order.keys, keys, strict=True)):
        beyond = _beyond(f"k{at}", value, direction(key.descending, order.backwards)[1], order)
        if beyond:
            parts.append(" and ".join([*equal, beyond]))
            values += bound
            if value is not None:
                values.append(value)
        equal.append(f"k{at} is not distinct from %s" if value is not None else f"k{at} is null")
        bound += [] if value is None else [value]
    _, compare = direction(order.newest_first, order.backwards)
    parts.append(" and ".join([*equal, f"rid {compare} %s"]))
    values += [*bound, rid]
    return "(" + " or ".join(parts) + ")"


def _beyond(name: str, value: Any, compare: str, order: Order) -> str:
    """What holds for a key that comes after a value; empty if none can."""
    if value is None:
        return f"{name} is not null" if order.backwards else ""
    if order.backwards:
        return f"{name} {compare} %s"
    return f"({name} {compare} %s or {name} is null)"


def live(types: tuple[str, ...], values: list[Any]) -> str:
    """What holds for the resources `r` of some types that are not deleted; all types if none."""
    if not types:
        return "r.content is not null"
    if len(types) == 1:
        values.append(types[0])
        return "r.type = %s and r.content is not null"
    values.append(list(types))
    return "r.type = any(%s::text[]) and r.content is not null"
