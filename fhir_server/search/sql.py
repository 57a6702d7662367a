"""Conditions as SQL.

Texts are constants; whatever a client sends is bound. `{s}` stands for the tenant's schema. There
are two ways to write a condition: for rows that are walked through one by one, and to gather the
rows by whatever index finds them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.conditions import (
    AllOf,
    AnyOf,
    Column,
    Condition,
    Contains,
    Keys,
    Not,
    Ordered,
    ReferredBy,
    Refers,
    Selection,
    indexed,
)
from fhir_server.search.statistics import CommonKeys, Density
from fhir_server.spec import definitions
from fhir_server.storage.resources import array

# Above this, comparing two arrays item by item costs more than hashing one of them.
_FEW_KEYS = 16
_MANY_KEYS = 50


# What long and spread ranges are found by has an index of its own, by their end.
_BY_END = ("v.high - v.low", "v.low < v.high")

# Targets of links that are looked up at a time.
_TOGETHER = 50

# What reads other rows to find its own; of little use once something else has found a few.
_JOINING = (AnyOf, Contains, Refers, ReferredBy)

# What tells one contained resource from every other.
_IDENTITY = ("container", "place")

# What a contained resource has not of its own: its time is that of its container.
_OF_CONTAINER = {
    "last_updated": "r.last_updated",
    "content": "r.content->'contained'->({r}.place - 1)",
}

# The hashes of a parameter at all places at which there are contained resources of some types.
_PLACES = (
    "array(select %s::bigint # n from generate_series(1, (select max(p.place) "
    "from unnest(%s::text[]) t (type), lateral (select c.place from {s}.contained c "
    "where c.type = t.type order by c.place desc limit 1) p)) n)"
)


def _of(row: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{row}.{column}" for column in columns)


def countable(condition: Ordered) -> bool:
    """Whether one stretch of an index has the rows of each of its texts."""
    return not any("any(" in text for text, _ in condition.any_of)


def _order(table: str, text: str, row: str) -> str:
    """The columns that an index of ordered values has after those that a text fixes."""
    if table == "string_value":
        return f"{row}.value"
    return f"{row}.{'high' if any(part in text for part in _BY_END) else 'low'}"


@dataclass(slots=True)
class Writer:
    """Writes conditions and collects the values to bind, in the order of the text.

    gathering: the text is for finding all rows by an index, not for checking one row after another;
        what checks is written so that PostgreSQL does not make it what finds.
    common: which keys are common, to choose the index that finds.
    driver: of several conditions on ordered values, the one whose index finds.
    found_in: the name of a query whose `rid` are those that the driver finds.
    """

    gathering: bool
    common: CommonKeys = field(default_factory=CommonKeys)
    driver: Ordered | None = None
    found_in: str = ""
    values: list[Any] = field(default_factory=list)
    _depth: int = 0
    _found: bool = False
    _inside: dict[str, str] = field(default_factory=dict)

    def write(self, condition: Condition, row: str) -> str:
        """The text of a settled condition about the row that is called `row`."""
        if self._found and self.gathering and isinstance(condition, _JOINING):
            return self._checked(condition, row)
        match condition:
            case Keys(any_of=keys):
                return self._keys(keys, row)
            case Ordered():
                return self._ordered(condition, row)
            case Column(sql=sql, values=values):
                self.values += values
                return self._column(sql, row)
            case Not(inner=inner):
                return f"not ({self._checked(inner, row)})"
            case AllOf(of=members):
                return self._all(members, row)
            case AnyOf(of=members):
                return self._any(members, row)
            case Contains(selection=selection):
                return self._contains(selection, row)
            case Refers(parameter=parameter, target=target):
                return self._refers(parameter, target, row)
            case ReferredBy(parameter=parameter, source=source):
                return self._referred_by(parameter, source, row)
        raise TypeError(f"{type(condition).__name__} has to be settled before it is written")

    def _checked(self, condition: Condition, row: str) -> str:
        """The text of a condition that is not what finds rows."""
        before, self.gathering = self.gathering, False
        text = self.write(condition, row)
        self.gathering = before
        return text

    def selection(self, selection: Selection, row: str) -> str:
        """The text of a selection's type and condition."""
        live = self.live((selection.type,), selection.condition, row)
        return f"{live} and {self.write(selection.condition, row)}"

    def inside(self, selection: Selection, row: str) -> str:
        """The text of a selection for a row of contained resources."""
        self._inside[row] = selection.type
        of = "true"
        if selection.type:
            self.values.append(selection.type)
            checked = indexed(selection.condition) or not self.gathering
            of = f"({row}.type = %s) is true" if checked else f"{row}.type = %s"
        return f"{of} and {self.write(selection.condition, row)}"

    def live(self, types: tuple[str, ...], condition: Condition, row: str) -> str:
        """What holds for rows of some types, of all when there are none, that are not deleted.

        Where the condition has an index of its own, that of the types is kept away: PostgreSQL
        would read all of a type only to intersect it with a few rows.
        """
        if not types:
            return f"{row}.content is not null"
        self.values.append(types[0] if len(types) == 1 else list(types))
        of = f"{row}.type = %s" if len(types) == 1 else f"{row}.type = any(%s::text[])"
        if indexed(condition):
            of = f"({of}) is true"
        return f"{of} and {row}.content is not null"

    def _column(self, sql: str, row: str) -> str:
        if row not in self._inside:
            return sql.replace("{r}", row).replace("{place}", "")
        sql = sql.replace("{r}.rid", f"{row}.container").replace("{place}", f" # {row}.place")
        for name, text in _OF_CONTAINER.items():
            whole = f"from {{s}}.resource r where r.rid = {row}.container"
            sql = sql.replace(f"{{r}}.{name}", f"(select {text} {whole})")
        return sql.replace("{r}", row)

    def _contains(self, selection: Selection, row: str) -> str:
        c = self._name("c")
        where = self.inside(selection, c)
        if self.gathering:
            return f"{row}.rid in (select {c}.container from {{s}}.contained {c} where {where})"
        own = f"{c}.container = {row}.rid"
        return self._exists(f"from {{s}}.contained {c} where {own} and {where}")

    def _keys(self, keys: tuple[int, ...], row: str) -> str:
        if not keys:
            return "false"
        if len(keys) == 1:
            self.values.append(keys[0])
            text = f"{row}.keys @> array[%s]::bigint[]"
            return text if self.gathering else f"({text}) is true"
        self.values.append(array(keys))
        if self.gathering and len(keys) > _MANY_KEYS:
            # With many keys that are all frequent, one scan for all of them goes quadratic.
            return (
                f"{row}.rid in (select found.rid from unnest(%s::bigint[]) wanted (key), "
                "lateral (select k.rid from {s}.resource k where k.keys @> array[wanted.key] "
                "offset 0) found)"
            )
        if self.gathering:
            return f"{row}.keys && %s::bigint[]"
        if len(keys) <= _FEW_KEYS:
            return f"({row}.keys && %s::bigint[]) is true"
        return f"exists (select from unnest({row}.keys) k where k = any(%s::bigint[]))"

    def _all(self, members: tuple[Condition, ...], row: str) -> str:
        if not members:
            return "true"
        before = self._found
        self._found = before or any(map(self._finds, members))
        text = " and ".join(self.write(item, row) for item in members)
        self._found = before
        return text

    def _finds(self, condition: Condition) -> bool:
        """Whether a condition finds so few rows that others need no index."""
        return self.common.density(condition) is Density.RARE

    def _any(self, members: tuple[Condition, ...], row: str) -> str:
        if not (self.gathering and all(map(indexed, members))):
            return "(" + " or ".join(self._checked(item, row) for item in members) + ")"
        # An index finds the rows of each member, but of no disjunction.
        table, columns = self._table(row)
        found = []
        for item in members:
            u = self._name("u")
            if row in self._inside:
                self._inside[u] = self._inside[row]
            where = self.write(item, u)
            found.append(f"select {_of(u, columns)} from {{s}}.{table} {u} where {where}")
        return f"({_of(row, columns)}) in ({' union all '.join(found)})"

    def _table(self, row: str) -> tuple[str, tuple[str, ...]]:
        """The table that a row is of, and the columns that tell it from every other."""
        return ("contained", _IDENTITY) if row in self._inside else ("resource", ("rid",))

    def _ordered(self, condition: Ordered, row: str) -> str:
        if self.gathering and row in self._inside:
            return self._ordered_inside(condition, row)
        if self.gathering and self.found_in and condition is self.driver:
            return f"{row}.rid in (select rid from {self.found_in})"
        finds = self.driver in (None, condition) and not self._found
        if self.gathering and len(condition.any_of) > 1 and finds:
            return f"{row}.rid in ({self.rows(condition)})"
        v = self._name("v")
        table = f"{{s}}.{condition.table} {v}"
        self.values.append(condition.parameter)
        texts = []
        for text, values in condition.any_of:
            self.values += values
            texts.append(text.replace("v.", f"{v}."))
        where = texts[0] if len(texts) == 1 else "(" + " or ".join(texts) + ")"
        own = f"{v}.rid = {row}.rid and {v}.parameter = %s"
        if row in self._inside:
            own = f"{v}.rid = {row}.container and {v}.parameter = %s # {row}.place"
        return self._exists(f"from {table} where {own} and {where}")

    def rows(self, condition: Ordered) -> str:
        """The row ids that a condition on ordered values finds, each by a stretch of an index."""
        v = self._name("v")
        found = []
        for text, values in condition.any_of:
            self.values += (condition.parameter, *values)
            where = text.replace("v.", f"{v}.")
            found.append(
                f"select {v}.rid from {{s}}.{condition.table} {v} "
                f"where {v}.parameter = %s and {where}"
            )
        return " union all ".join(found)

    def count(self, condition: Ordered, most: int) -> str:
        """How many rows of ordered values meet a condition, counted up to `most`.

        In the order of the index, so that nothing else is read: a table begins with rows of others.
        """
        v = self._name("v")
        found = []
        for text, values in condition.any_of:
            self.values += (condition.parameter, *values, most)
            where = text.replace("v.", f"{v}.")
            found.append(
                f"(select {v}.rid from {{s}}.{condition.table} {v} where {v}.parameter = %s "
                f"and {where} order by {_order(condition.table, text, v)} limit %s)"
            )
        return f"(select count(*) from ({' union all '.join(found)}) v)"

    def _ordered_inside(self, condition: Ordered, row: str) -> str:
        """For gathering contained resources: the rows at every place that one of them can have."""
        type_ = self._inside[row]
        types = [type_] if type_ else sorted(definitions().resource_types)
        v = self._name("v")
        found = []
        for text, values in condition.any_of:
            self.values += (condition.parameter, condition.parameter, types, *values)
            found.append(
                f"select {v}.rid, {v}.parameter # %s from {{s}}.{condition.table} {v} "
                f"where {v}.parameter = any({_PLACES}) and {text.replace('v.', f'{v}.')}"
            )
        return f"({_of(row, _IDENTITY)}) in ({' union all '.join(found)})"

    def _refers(self, parameter: int, target: Selection, row: str) -> str:
        if self.gathering:
            return self._referring(parameter, target, row)
        t, c, link = self._name("t"), self._name("c"), self._name("l")
        self.values.append(parameter)
        where = self.selection(target, t)
        found = self._exists(
            f"from unnest({row}.targets) {link} (key) join {{s}}.resource {t} "
            f"on {t}.reference_key = {link}.key "
            f"where {link}.key # %s::bigint = any({row}.keys) and {where}"
        )
        self.values.append(parameter)
        where = self.inside(target, c)
        own = f"{c}.container = {row}.{'container' if row in self._inside else 'rid'}"
        inner = self._exists(
            f"from {{s}}.contained {c} where {own} "
            f"and {c}.reference_key # %s::bigint = any({row}.keys) and {where}"
        )
        return f"({found} or {inner})"

    def _referring(self, parameter: int, target: Selection, row: str) -> str:
        """For gathering: rows by their links to the targets; what contains one is known by that.

        A few targets at a time: to intersect keys with those of all takes up to a hundred times as
        long, and each look-up reads what the index has not sorted in yet.
        """
        t, c, x, link = (self._name(letter) for letter in "tcxl")
        table, columns = self._table(row)
        owner = columns[0]
        self.values.append(parameter)
        where = self.selection(target, t)
        found = (
            f"select {_of(x, columns)} from (select array_agg(key) as keys from ("
            f"select {t}.reference_key # %s::bigint as key, "
            f"row_number() over () / {_TOGETHER} as n "
            f"from {{s}}.resource {t} where {where}) e group by n) {link}, "
            f"lateral (select {_of('y', columns)} from {{s}}.{table} y "
            f"where y.keys && {link}.keys offset 0) {x}"
        )
        self.values.append(parameter)
        where = self.inside(target, c)
        inner = (
            f"select {_of(x, columns)} from {{s}}.contained {c} join {{s}}.{table} {x} "
            f"on {x}.{owner} = {c}.container "
            f"where {c}.reference_key # %s::bigint = any({x}.keys) and {where}"
        )
        return f"({_of(row, columns)}) in ({found} union all {inner})"

    def _referred_by(self, parameter: int, source: Selection, row: str) -> str:
        t, link = self._name("t"), self._name("l")
        self.values.append(parameter)
        if self.gathering:
            where = self.selection(source, t)
            return (
                f"{row}.reference_key in (select {link}.key from {{s}}.resource {t}, "
                f"unnest({t}.targets) {link} (key) "
                f"where {link}.key # %s::bigint = any({t}.keys) and {where})"
            )
        # By now the source is known to be frequent: the few links to one row are looked up, and
        # checked. To intersect them with all of a frequent key takes several times as long.
        where = self.selection(source, t)
        return self._exists(
            f"from {{s}}.resource {t} "
            f"where {t}.keys @> array[{row}.reference_key # %s::bigint] and {where}"
        )

    def _exists(self, rest: str) -> str:
        """Whether there is a row; for one row after another, not to be turned into a join."""
        if self.gathering:
            return f"exists (select {rest})"
        return f"(select true {rest} limit 1) is not null"

    def _name(self, letter: str) -> str:
        self._depth += 1
        return f"{letter}{self._depth}"
