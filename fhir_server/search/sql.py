"""Conditions as SQL.

Texts are constants; whatever a client sends is bound. `{s}` stands for the tenant's schema. There
are two ways to write a condition: for rows that are walked through one by one, and to gather the
rows by whatever index finds them.
"""

from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.conditions import (
    AllOf,
    AnyOf,
    Column,
    Condition,
    Keys,
    Not,
    Ordered,
    ReferredBy,
    Refers,
    Selection,
    indexed,
)
from fhir_server.search.statistics import CommonKeys, Density
from fhir_server.storage.resources import array

# Above this, comparing two arrays item by item costs more than hashing one of them.
_FEW_KEYS = 16
_MANY_KEYS = 50


@dataclass(slots=True)
class Writer:
    """Writes conditions and collects the values to bind, in the order of the text.

    gathering: the text is for finding all rows by an index, not for checking one row after another;
        what checks is written so that PostgreSQL does not make it what finds.
    common: which keys are common, to choose the index that finds.
    driver: of several conditions on ordered values, the one whose index finds.
    """

    gathering: bool
    common: CommonKeys = field(default_factory=CommonKeys)
    driver: Ordered | None = None
    values: list[Any] = field(default_factory=list)
    _depth: int = 0
    _found: bool = False

    def write(self, condition: Condition, row: str) -> str:
        """The text of a settled condition about the row that is called `row`."""
        match condition:
            case Keys(any_of=keys):
                return self._keys(keys, row)
            case Ordered():
                return self._ordered(condition, row)
            case Column(sql=sql, values=values):
                self.values += values
                return sql.replace("{r}", row)
            case Not(inner=inner):
                return f"not ({self.write(inner, row)})"
            case AllOf(of=members):
                return self._all(members, row)
            case AnyOf(of=members):
                return self._any(members, row)
            case Refers(parameter=parameter, target=target):
                return self._refers(parameter, target, row)
            case ReferredBy(parameter=parameter, source=source):
                return self._referred_by(parameter, source, row)
        raise TypeError(f"{type(condition).__name__} has to be settled before it is written")

    def selection(self, selection: Selection, row: str) -> str:
        """The text of a selection's type and condition."""
        live = self.live((selection.type,), selection.condition, row)
        return f"{live} and {self.write(selection.condition, row)}"

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
            return "(" + " or ".join(self.write(item, row) for item in members) + ")"
        # An index finds the rows of each member, but of no disjunction.
        found = []
        for item in members:
            u = self._name("u")
            found.append(f"select {u}.rid from {{s}}.resource {u} where {self.write(item, u)}")
        return f"{row}.rid in ({' union all '.join(found)})"

    def _ordered(self, condition: Ordered, row: str) -> str:
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

    def _refers(self, parameter: int, target: Selection, row: str) -> str:
        t, link = self._name("t"), self._name("l")
        if self.gathering:
            self.values.append(parameter)
            where = self.selection(target, t)
            keys = f"select {t}.reference_key # %s::bigint from {{s}}.resource {t} where {where}"
            return f"{row}.keys && array({keys})"
        self.values.append(parameter)
        where = self.selection(target, t)
        return self._exists(
            f"from unnest({row}.targets) {link} (key) join {{s}}.resource {t} "
            f"on {t}.reference_key = {link}.key "
            f"where {link}.key # %s::bigint = any({row}.keys) and {where}"
        )

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
