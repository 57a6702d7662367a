"""What a search asks of a resource, before it is SQL: a small algebra of conditions."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from fhir_server.search.keys import Keyed


class PredicateError(ValueError):
    """A search value that cannot be understood; says what was expected."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the meaning of a search value depends on.

    base_url: under which absolute references were indexed as this server's own.
    zone: of dates and times that name none.
    seen_as: the base URL that the client uses; it need not be `base_url`.
    now: what `ap` measures distances from.
    """

    base_url: str
    zone: ZoneInfo
    seen_as: str = ""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Keys:
    """It has at least one of these hashed keys; none at all when there are none.

    about: the hash of `Patient/123` where it is that it belongs to this patient, else 0.
    """

    any_of: tuple[int, ...]
    about: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Ordered:
    """It has a row in a table of ordered values.

    table: `string_value`, `date_value` or `number_value`.
    parameter: the hash under which the row stands.
    any_of: what may hold for the row `v`: constant texts with `%s` for each of their values.
    narrow: it asks for one value, which few resources have as a rule.
    """

    table: str
    parameter: int
    any_of: tuple[tuple[str, tuple[Any, ...]], ...]
    narrow: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Column:
    """Something holds for its own columns: a constant text about `{r}`.

    sql: `{place}` comes after each hash of a parameter of ordered values.
    few: it names the resources that are meant.
    found: an index finds all that are meant, few or not.
    """

    sql: str
    values: tuple[Any, ...] = ()
    few: bool = False
    found: bool = False


@dataclass(frozen=True, slots=True)
class Spoken:
    """It has a key of a text that the vocabulary has: a constant text about `value`.

    parameter: the hash of the kind of text; the keys are made with it as well.
    """

    parameter: int
    sql: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """`:missing`: the parameter has no value, or has one.

    presence: the hashes under which the vocabulary lists sets of parameters that have values; one
        for each type that is meant.
    """

    presence: tuple[int, ...]
    code: str
    missing: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantity in whatever unit it is stored, compared in that unit.

    system, code: as asked for; None for any system.
    prefix, low, high: as for a number, in the unit asked for.
    """

    parameter: int
    system: str | None
    code: str
    prefix: str
    low: Any
    high: Any


@dataclass(frozen=True, slots=True)
class Concepts:
    """A token among the codes that terminology gives.

    name: `Observation|code`, which the keys are made with, by `keyed` if there is one.
    relation: `in` a value set, or `above` or `below` a code.
    """

    name: str
    relation: str
    system: str
    value: str
    keyed: Keyed | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Resources of one type that meet a condition."""

    type: str
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Contains:
    """It contains a resource of a selection, of any type if that has none: `_contained`."""

    selection: Selection


@dataclass(frozen=True, slots=True)
class Refers:
    """It refers, by a parameter, to one of a selection: a chain. That may be contained in it.

    by_url: the reference is a canonical, which names the target's url and not its id.
    """

    parameter: int
    target: Selection
    by_url: bool = False


@dataclass(frozen=True, slots=True)
class ReferredBy:
    """One of a selection refers to it by a parameter: `_has`."""

    parameter: int
    source: Selection


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """It refers to a resource, or to one above or below that in its hierarchy.

    parameter: of the reference that is searched; step: of the one that makes the hierarchy.
    """

    parameter: int
    type: str
    step: int
    reference: int
    relation: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    inner: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of several conditions; always when there are none."""

    of: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of several conditions; never when there are none."""

    of: tuple["Condition", ...] = ()


# What SQL can ask, and what has to be settled with the database or with terminology first.
Settled: TypeAlias = Keys | Ordered | Column | Contains | Refers | ReferredBy | Not | AllOf | AnyOf
Condition: TypeAlias = Settled | Spoken | Absent | Measured | Concepts | Hierarchy

ALWAYS = AllOf()
NEVER = Keys(())


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Every one of several conditions, without needless nesting."""
    flat = tuple(_members(conditions, AllOf))
    if NEVER in flat:
        return NEVER
    return flat[0] if len(flat) == 1 else AllOf(flat)


def ordered(table: str, parameter: int, sql: str, values: tuple[Any, ...]) -> Ordered:
    """The condition with one text about the row."""
    return Ordered(table, parameter, ((sql, values),))


def any_of(conditions: Iterable[Condition]) -> Condition:
    """At least one of several conditions; what one look-up finds is put together."""
    flat = list(_members(conditions, AnyOf))
    keys = tuple(
        dict.fromkeys(key for item in flat if isinstance(item, Keys) for key in item.any_of)
    )
    others: list[Condition] = [item for item in flat if not isinstance(item, Keys | Ordered)]
    rows: dict[tuple[str, int], list[Ordered]] = {}
    for item in flat:
        if isinstance(item, Ordered):
            rows.setdefault((item.table, item.parameter), []).append(item)
    for place, same in rows.items():
        texts = tuple(text for item in same for text in item.any_of)
        others.append(Ordered(*place, texts, all(item.narrow for item in same)))
    if keys or not others:
        others.insert(0, Keys(keys))
    return others[0] if len(others) == 1 else AnyOf(tuple(others))


def _members(
    conditions: Iterable[Condition], kind: type[AllOf] | type[AnyOf]
) -> Iterator[Condition]:
    for item in conditions:
        if isinstance(item, kind):
            yield from item.of
        else:
            yield item


def indexed(condition: Condition) -> bool:
    """Whether an index finds all that meets a settled condition."""
    match condition:
        case Keys() | Ordered() | Contains() | Refers() | ReferredBy():
            return True
        case Column(few=few, found=found):
            return few or found
        case AllOf(of=members):
            return any(map(indexed, members))
        case AnyOf(of=members):
            return all(map(indexed, members))
    return False


# What has to be asked of the database or of terminology first costs as much as so many values.
_ASKED = 20


def size(condition: Condition) -> int:
    """How many values a condition comes to, which has a limit."""
    match condition:
        case Keys(any_of=values):
            return len(values)
        case Ordered(any_of=texts):
            return sum(1 + len(values) for _, values in texts)
        case Column(values=values):
            return sum(len(item) if isinstance(item, list | tuple) else 1 for item in values)
        case AllOf(of=members) | AnyOf(of=members):
            return sum(map(size, members))
        case Not(inner=inner):
            return size(inner)
        case Refers(target=selection) | ReferredBy(source=selection) | Contains(selection):
            return 1 + size(selection.condition)
        case Spoken() | Absent() | Measured() | Concepts() | Hierarchy():
            return _ASKED


def unescape(text: str) -> str:
    r"""The value meant by one with `\,` `\|` `\$` and `\\` (R4 search.html#escaping)."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def split_at(separator: str, value: str) -> list[str]:
    """The parts of a value between separators that are not escaped; escapes stay."""
    parts, current, escaped = [], "", False
    for character in value:
        if character == separator and not escaped:
            parts.append(current)
            current = ""
        else:
            current += character
        escaped = character == "\\" and not escaped
    parts.append(current)
    return parts


def split_bar(value: str) -> list[str]:
    """The parts between unescaped bars, unescaped."""
    return [unescape(part) for part in split_at("|", value)]
