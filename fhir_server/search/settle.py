"""What a condition needs to know before it can be SQL: texts, units, concepts, ends of chains.

A chain that ends at few resources becomes keys, which an index finds; the probe that counts them
stops soon. One that ends at many stays a chain, because rows that are walked find such ends fast.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

from fhir_server.outcome import Invalid, Issue
from fhir_server.search import keys
from fhir_server.search.conditions import (
    NEVER,
    Absent,
    AllOf,
    AnyOf,
    Column,
    Concepts,
    Condition,
    Contains,
    Hierarchy,
    Keys,
    Measured,
    Not,
    Ordered,
    ReferredBy,
    Refers,
    Selection,
    Spoken,
    all_of,
    any_of,
)
from fhir_server.search.ranges import numbered_in
from fhir_server.search.sql import Writer, countable
from fhir_server.search.statistics import CommonKeys, Density, Statistics
from fhir_server.storage.seal import Seal
from fhir_server.storage.store import Connection
from fhir_server.ucum import canonical, convert, decimal

# A chain with no more ends than this is looked up by their keys.
FEW_ENDS = 200
# What PostgreSQL takes with a statement.
MOST_BOUND = 65_535
FEW_SOURCES = 2_000
MOST_TEXTS = 5_000
MOST_SETS = 20_000
MOST_CODES = 5_000
MOST_URLS = 1_000
MOST_LEVELS = 50
UCUM = "http://unitsofmeasure.org"


class Terminology(Protocol):
    """What search asks of code systems and value sets, for one tenant."""

    async def codes_of(self, value_set: str) -> Mapping[str, frozenset[str]]:
        """The codes of a value set by system. Raises a refusal that names what is unknown."""

    async def related(self, system: str, code: str, relation: str) -> frozenset[str]:
        """A code with all those `above` or `below` it."""


class Visible(Protocol):
    """What whoever searches may see."""

    def of(self, types: tuple[str, ...]) -> Condition:
        """What resources of these types meet that may be seen; of any type if there are none."""

    def wholly(self, type_: str) -> bool:
        """Whether all resources of a type may be seen."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement that was run, and how many rows it gave."""

    what: str
    text: str
    values: list[Any]
    rows: int


@dataclass(frozen=True, slots=True)
class Settling:
    """Where a search is carried out.

    schema: of the tenant, quoted.
    statistics, common: which keys are common, to choose what to try first.
    units: those of the vocabulary, once they were read.
    steps: collects the statements that were run, for whoever wants to see them.
    seal: what contents go through on their way here.
    visible: what may be seen, in matches and on the way to them; None for everything.
    """

    connection: Connection
    schema: str
    terminology: Terminology
    statistics: Statistics
    common: CommonKeys = field(default_factory=CommonKeys)
    units: list[str] = field(default_factory=list)
    steps: list[Step] | None = None
    seal: Seal | None = None
    visible: Visible | None = None

    async def informed(self) -> "Settling":
        """The same, knowing which keys are common."""
        known = await self.statistics.common_keys(self.connection, self.schema)
        return replace(self, common=known)

    async def rows(
        self, what: str, text: str, values: list[Any], *, prepared: bool = False
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement, planned for its values.

        what: says in a few words what the statement is for.
        prepared: planned once, because its values do not matter for that.
        Raises `Invalid` for too many values.
        """
        if len(values) > MOST_BOUND:
            raise Invalid(Issue("too-costly", "The search comes to too many values; ask for fewer"))
        text = text.replace("{s}", self.schema)
        cursor = await self.connection.execute(text, values, prepare=prepared, binary=True)
        rows = await cursor.fetchall()
        if self.steps is not None:
            self.steps.append(Step(what, text, values, len(rows)))
        return rows


async def settled(types: tuple[str, ...], condition: Condition, at: Settling) -> Condition:
    """What resources of these types, or any, meet that are meant and may be seen."""
    if at.visible is not None:
        condition = all_of([condition, at.visible.of(types)])
    return await settle(condition, at)


async def settle(condition: Condition, at: Settling) -> Condition:
    """The condition with everything found out that has to be asked first."""
    match condition:
        case AllOf(of=members):
            return all_of([await settle(item, at) for item in members])
        case AnyOf(of=members):
            return any_of([await settle(item, at) for item in members])
        case Not(inner=inner):
            return Not(await settle(inner, at))
    step = _STEPS.get(type(condition))
    return condition if step is None else await step(condition, at)


async def _spoken(condition: Spoken, at: Settling) -> Condition:
    text = (
        "select distinct value from {s}.vocabulary "
        f"where parameter = %s and {condition.sql} limit %s"
    )
    rows = await at.rows(
        "texts of the vocabulary", text, [condition.parameter, *condition.values, MOST_TEXTS + 1]
    )
    if len(rows) > MOST_TEXTS:
        issue = f"More than {MOST_TEXTS} different texts match; ask for a longer beginning"
        raise Invalid(Issue("too-costly", issue))
    return Keys(tuple(condition.parameter ^ keys.hash64_uncached(value) for (value,) in rows))


async def _absent(condition: Absent, at: Settling) -> Condition:
    has = "%s = any(string_to_array(value, ','))"
    text = (
        "select distinct parameter, value from {s}.vocabulary where parameter = any(%s::bigint[]) "
        f"and {'not ' if condition.missing else ''}{has} limit %s"
    )
    values = [list(condition.presence), condition.code, MOST_SETS + 1]
    rows = await at.rows("sets of parameters with values", text, values)
    if len(rows) > MOST_SETS:
        issue = f"The values that resources have differ in more than {MOST_SETS} ways"
        raise Invalid(Issue("too-costly", issue))
    return Keys(tuple(presence ^ keys.hash64_uncached(value) for presence, value in rows))


async def _measured(condition: Measured, at: Settling) -> Condition:
    units: list[tuple[int, Callable[[Decimal], Decimal]]] = []
    for text in ("", *await units_known(at)):
        into = _conversion(condition, text)
        if into is not None:
            units.append((keys.unit_hash(text), into))
    return numbered_in(condition.parameter, units, condition) if units else NEVER


async def units_known(at: Settling) -> list[str]:
    """Every unit that a stored quantity has, as the vocabulary has it."""
    if not at.units:
        sql = "select distinct value from {s}.vocabulary where parameter = %s"
        rows = await at.rows("units of the vocabulary", sql, [keys.UNITS], prepared=True)
        at.units[:] = [text for (text,) in rows]
    return at.units


async def conversions(at: Settling) -> tuple[list[int], list[Decimal], list[Decimal]]:
    """Hashes of the known units of UCUM, and what turns each into base units: factor and offset."""
    found = []
    for text in await units_known(at):
        system, code, _ = text.split(keys.SEPARATOR)
        unit = canonical(code) if system == UCUM else None
        if unit is not None:
            found.append((keys.unit_hash(text), decimal(unit.factor), decimal(unit.offset)))
    hashes, factors, offsets = zip(*found, strict=True) if found else ((), (), ())
    return list(hashes), list(factors), list(offsets)


def _conversion(condition: Measured, text: str) -> Callable[[Decimal], Decimal] | None:
    """From the unit asked for to a stored one; None when they cannot be compared."""
    if condition.system is None and not condition.code:
        return _same
    if not text:
        return None
    system, code, unit = text.split(keys.SEPARATOR)
    if condition.system is None:
        return _same if condition.code in (code, unit) else None
    if system != condition.system:
        return None
    if code == condition.code or not condition.code:
        return _same
    if system != UCUM or convert(Decimal(1), condition.code, code) is None:
        return None
    return lambda number: convert(number, condition.code, code) or Decimal(0)


def _same(number: Decimal) -> Decimal:
    return number


async def _concepts(condition: Concepts, at: Settling) -> Condition:
    if condition.relation == "in":
        systems = await at.terminology.codes_of(condition.value)
    else:
        codes = await at.terminology.related(condition.system, condition.value, condition.relation)
        systems = {condition.system: codes}
    if sum(map(len, systems.values())) > MOST_CODES:
        text = f"{condition.value} means more than {MOST_CODES} codes, too many to search for"
        raise Invalid(Issue("too-costly", text))
    texts = [
        keys.token_in_system(system, code) for system, found in systems.items() for code in found
    ]
    key = keys.key if condition.keyed is None else condition.keyed.key
    return Keys(tuple(key(condition.name, text) for text in texts))


async def _refers(condition: Refers, at: Settling) -> Condition:
    target = await _selection(condition.target, at)
    if target.condition == NEVER:
        return NEVER
    if condition.by_url:
        return await _refers_by_url(condition.parameter, target, at)
    if at.common.density(target.condition) is Density.FREQUENT:
        return replace(condition, target=target)
    writer = Writer(gathering=True, common=at.common)
    tried, few, many = "", "true", ""
    if isinstance(target.condition, Ordered) and countable(target.condition):
        # What an index of ordered values shows to be many is not looked up.
        count = writer.count(target.condition, FEW_ENDS + 1)
        tried = f"with tried (few) as materialized (select {count} <= {FEW_ENDS}) "
        few = "(select few from tried)"
        many = " union all select null from tried where not few"
    where = writer.selection(target, "r")
    writer.values.append(FEW_ENDS + 1)
    inside = writer.inside(target, "c")
    text = (
        f"{tried}(select r.reference_key from {{s}}.resource r where {few} and {where} limit %s) "
        "union all "
        f"(select c.reference_key from {{s}}.contained c where {few} and {inside} limit %s){many}"
    )
    rows = await at.rows("ends of a chain", text, [*writer.values, FEW_ENDS + 1])
    if len(rows) <= FEW_ENDS and (None,) not in rows:
        return Keys(tuple(condition.parameter ^ key for (key,) in rows))
    return replace(condition, target=target)


async def _refers_by_url(parameter: int, target: Selection, at: Settling) -> Condition:
    writer = Writer(gathering=True)
    where = writer.selection(target, "r")
    writer.values.append(MOST_URLS + 1)
    inside = writer.inside(target, "c")
    text = (
        "(select distinct r.content->>'url', null::bigint "
        f"from {{s}}.resource r where {where} limit %s) union all "
        f"(select null, c.reference_key from {{s}}.contained c where {inside} limit %s)"
    )
    rows = await at.rows("ends of a chain by url", text, [*writer.values, MOST_URLS + 1])
    if len(rows) > MOST_URLS:
        issue = f"The chain leads to more than {MOST_URLS} canonical resources; select fewer"
        raise Invalid(Issue("too-costly", issue))
    named = (keys.hash64_uncached(url) if url else inner for url, inner in rows)
    return Keys(tuple(parameter ^ value for value in named if value is not None))


async def _contains(condition: Contains, at: Settling) -> Condition:
    # Whoever may see a resource may see what it contains.
    selection = condition.selection
    inner = await settle(selection.condition, at)
    return NEVER if inner == NEVER else Contains(replace(selection, condition=inner))


async def _referred_by(condition: ReferredBy, at: Settling) -> Condition:
    source = await _selection(condition.source, at)
    if source.condition == NEVER:
        return NEVER
    if at.common.density(source.condition) is Density.FREQUENT:
        return replace(condition, source=source)
    writer = Writer(gathering=True, common=at.common)
    where = writer.selection(source, "r")
    text = (
        f"with found as materialized (select r.targets, r.keys from {{s}}.resource r where {where} "
        "limit %s) select (select count(*) from found), array(select distinct l.key from found, "
        "unnest(found.targets) l (key) where l.key # %s::bigint = any(found.keys))"
    )
    values = [*writer.values, FEW_SOURCES + 1, condition.parameter]
    ((count, ends),) = await at.rows("ends of a reverse chain", text, values)
    if count > FEW_SOURCES:
        return replace(condition, source=source)
    return Column("{r}.reference_key = any(%s::bigint[])", (ends,), few=True) if ends else NEVER


async def _selection(selection: Selection, at: Settling) -> Selection:
    types = (selection.type,) if selection.type else ()
    return Selection(selection.type, await settled(types, selection.condition, at))


async def _hierarchy(condition: Hierarchy, at: Settling) -> Condition:
    """Follow the hierarchy from one resource, level by level, until nothing new comes."""
    if at.visible is not None and not at.visible.wholly(condition.type):
        text = f"Hierarchies of {condition.type} are for those who may see all of them"
        raise Invalid(Issue("forbidden", text), status=403)
    found = {condition.reference}
    edge = list(found)
    for _ in range(MOST_LEVELS):
        rows = await at.rows(
            "a level of a hierarchy", _LEVELS[condition.relation], [condition.step, edge]
        )
        edge = [key for (key,) in rows if key not in found]
        found.update(edge)
        if not edge:
            return Keys(tuple(condition.parameter ^ key for key in found))
        if len(found) > MOST_TEXTS:
            break
    text = f"The hierarchy of {condition.type} is too large or deeper than {MOST_LEVELS} levels"
    raise Invalid(Issue("too-costly", text))


_LEVELS = {
    "below": "with wanted as (select array(select %s::bigint # key from unnest(%s::bigint[]) key) "
    "as keys) select r.reference_key from {s}.resource r where r.keys && (select keys from wanted) "
    "union all select c.reference_key from {s}.contained c "
    "where c.keys && (select keys from wanted)",
    "above": "with step as (select %s::bigint as hash, %s::bigint[] as edge) "
    "select l.key from step, {s}.resource r, unnest(r.targets) l (key) "
    "where r.reference_key = any(step.edge) and l.key # step.hash = any(r.keys) "
    "union select l.key from step, {s}.contained c, unnest(c.targets) l (key) "
    "where c.reference_key = any(step.edge) and l.key # step.hash = any(c.keys)",
}

_STEPS: dict[type, Callable[[Any, Settling], Awaitable[Condition]]] = {
    Spoken: _spoken,
    Absent: _absent,
    Measured: _measured,
    Concepts: _concepts,
    Contains: _contains,
    Refers: _refers,
    ReferredBy: _referred_by,
    Hierarchy: _hierarchy,
}
