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
)

# Above this, comparing two arrays item by item costs more than hashing one of them.
_FEW_KEYS = 16


@dataclass(slots=True)
class Writer:
    """Writes conditions and collects the values to bind, in the order of the text.

    gathering: the text is for finding all rows by an index, not for checking one row after another.
    """

    gathering: bool
    values: list[Any] = field(default_factory=list)
    _depth: int = 0

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
                return "(" + " or ".join(self.write(item, row) for item in members) + ")"
            case Refers(parameter=parameter, target=target):
                return self._refers(parameter, target, row)
            case ReferredBy(parameter=parameter, source=source):
                return self._referred_by(parameter, source, row)
        raise TypeError(f"{type(condition).__name__} has to be settled before it is written")

    def selection(self, selection: Selection, row: str) -> str:
        """The text of a selection's type and condition."""
        self.values.append(selection.type)
        text = f"{row}.type = %s and {row}.content is not null"
        return f"{text} and {self.write(selection.condition, row)}"

    def _keys(self, keys: tuple[int, ...], row: str) -> str:
        if not keys:
            return "false"
        if len(keys) == 1:
            self.values.append(keys[0])
            return f"{row}.keys @> array[%s]::bigint[]"
        self.values.append(list(keys))
        if self.gathering or len(keys) <= _FEW_KEYS:
            return f"{row}.keys && %s::bigint[]"
        return f"exists (select from unnest({row}.keys) k where k = any(%s::bigint[]))"

    def _all(self, members: tuple[Condition, ...], row: str) -> str:
        if not members:
            return "true"
        return " and ".join(self.write(item, row) for item in members)

    def _ordered(self, condition: Ordered, row: str) -> str:
        v = self._name("v")
        self.values.append(condition.parameter)
        self.values += condition.values
        where = condition.sql.replace("v.", f"{v}.")
        table = f"{{s}}.{condition.table} {v}"
        own = f"{v}.rid = {row}.rid and {v}.parameter = %s"
        return f"exists (select from {table} where {own} and {where})"

    def _refers(self, parameter: int, target: Selection, row: str) -> str:
        t, link = self._name("t"), self._name("l")
        if self.gathering:
            self.values.append(parameter)
            where = self.selection(target, t)
            keys = f"select {t}.reference_key # %s::bigint from {{s}}.resource {t} where {where}"
            return f"{row}.keys && array({keys})"
        self.values.append(parameter)
        where = self.selection(target, t)
        return (
            f"exists (select from unnest({row}.targets) {link} (key) join {{s}}.resource {t} "
            f"on {t}.reference_key = {link}.key "
            f"where {link}.key # %s::bigint = any({row}.keys) and {where})"
        )

    def _referred_by(self, parameter: int, source: Selection, row: str) -> str:
        t, link = self._name("t"), self._name("l")
        self.values.append(parameter)
        where = self.selection(source, t)
        if self.gathering:
            return (
                f"{row}.reference_key in (select {link}.key from {{s}}.resource {t}, "
                f"unnest({t}.targets) {link} (key) "
                f"where {link}.key # %s::bigint = any({t}.keys) and {where})"
            )
        return (
            f"exists (select from {{s}}.resource {t} "
            f"where {t}.keys @> array[{row}.reference_key # %s::bigint] and {where})"
        )

    def _name(self, letter: str) -> str:
        self._depth += 1
        return f"{letter}{self._depth}"
