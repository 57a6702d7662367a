"""What somebody may see and change of the resources of a type, as conditions of search.

The grants of an `Access` become conditions once; a search adds them to what it asks, of matches and
of what lies on the way to them, and a single version is compared with them in memory.
"""

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.interactions.compartments import membership
from fhir_server.outcome import NotFound, Refusal
from fhir_server.search.conditions import (
    ALWAYS,
    NEVER,
    AllOf,
    AnyOf,
    Circumstances,
    Column,
    Condition,
    Keys,
    Not,
    all_of,
    any_of,
)
from fhir_server.search.index import SearchIndex
from fhir_server.search.query import parse
from fhir_server.security.access import READ, SEARCH, Access, Grant
from fhir_server.spec import Definitions

if TYPE_CHECKING:
    from fhir_server.interactions.engine import Engine

Resource = dict[str, Any]

log = logging.getLogger(__name__)


class Sight:
    """What an access lets see in one tenant.

    access: what is granted. index: of the tenant. where: what search values mean.
    """

    def __init__(
        self, definitions: Definitions, access: Access, index: SearchIndex, where: Circumstances
    ) -> None:
        self._definitions = definitions
        self._access = access
        self._index = index
        self._where = where
        self._conditions: dict[tuple[str, str], Condition] = {}
        self._everywhere: Condition | None = None

    def of(self, types: tuple[str, ...]) -> Condition:
        """What resources of these types meet that may be found; of any type if there are none."""
        if not types:
            if self._everywhere is None:
                every = tuple(sorted(self._definitions.resource_types))
                self._everywhere = self._among(every)
            return self._everywhere
        return self.condition(types[0], SEARCH) if len(types) == 1 else self._among(types)

    def wholly(self, type_: str) -> bool:
        """Whether all resources of a type may be found."""
        return self._access.wholly(type_, SEARCH)

    def condition(self, type_: str, letter: str) -> Condition:
        """What resources of a type meet with which something may be done."""
        found = self._conditions.get((type_, letter))
        if found is None:
            found = self._conditions[type_, letter] = self._made(type_, letter)
        return found

    def admits(self, resource: Resource, letter: str = READ) -> bool:
        """Whether something may be done with a resource as it is here."""
        type_ = resource["resourceType"]
        condition = self.condition(type_, letter)
        if condition in (ALWAYS, NEVER):
            return condition == ALWAYS
        keys = frozenset(self._index.extractor.extract(resource).keys)
        return _holds(condition, resource, keys)

    def _among(self, types: tuple[str, ...]) -> Condition:
        whole: list[str] = []
        parts: list[Condition] = []
        for type_ in types:
            condition = self.condition(type_, SEARCH)
            if condition == ALWAYS:
                whole.append(type_)
            elif isinstance(condition, Keys):
                # Keys are made with the name of the type.
                parts.append(condition)
            else:
                parts.append(all_of([Column(_TYPE, (type_,)), condition]))
        if len(whole) == len(types):
            return ALWAYS
        if whole:
            parts.append(Column(_TYPES, (whole,), found=True))
        return any_of(parts)

    def _made(self, type_: str, letter: str) -> Condition:
        layers = self._access.granting(type_, letter)
        if layers is None:
            return NEVER
        return all_of(_either(map(self._granted, layer, [type_] * len(layer))) for layer in layers)

    def _granted(self, grant: Grant, type_: str) -> Condition:
        try:
            return all_of(self._parts(grant, type_))
        except NotFound:
            return NEVER
        except Refusal as refusal:
            # What cannot be understood grants nothing.
            log.warning("the grant %r on %s grants nothing: %s", grant.where, type_, refusal)
            return NEVER

    def _parts(self, grant: Grant, type_: str) -> Iterator[Condition]:
        known = self._index.parameters
        if grant.compartment is not None:
            yield membership(self._definitions, known, grant.compartment, type_)
        if grant.where:
            query = parse_qsl(grant.where, keep_blank_values=True)
            asked = parse(known, type_, query, self._where).condition
            yield asked if comparable(asked) else NEVER


def sight_of(engine: "Engine", ctx: Context) -> Sight | None:
    """What the context's principal may see; None for everything."""
    if ctx.access.unlimited:
        return None
    where = Circumstances(engine.where.base_url, engine.where.zone, ctx.base_url)
    return _sight(engine.definitions, ctx.access, engine.index(ctx), where.base_url, ctx.base_url,
                  engine.where.zone)  # fmt: skip


@lru_cache(maxsize=1024)
def _sight(
    definitions: Definitions, access: Access, index: SearchIndex, base_url: str, seen_as: str,
    zone: Any,
) -> Sight:  # fmt: skip
    return Sight(definitions, access, index, Circumstances(base_url, zone, seen_as))


def _either(conditions: Iterator[Condition]) -> Condition:
    found = list(conditions)
    return ALWAYS if ALWAYS in found else any_of(found)


# The columns that conditions here ask of.
_TYPE = "{r}.type = %s"
_TYPES = "{r}.type = any(%s::text[])"
_COLUMNS: dict[str, Callable[[Resource, Any], bool]] = {
    _TYPE: lambda resource, value: resource["resourceType"] == value,
    _TYPES: lambda resource, value: resource["resourceType"] in value,
    "{r}.id = %s": lambda resource, value: resource.get("id") == value,
    "{r}.id = any(%s::text[])": lambda resource, value: resource.get("id") in value,
}


def comparable(condition: Condition) -> bool:
    """Whether a condition can be compared with a resource in memory: tokens, references, ids."""
    match condition:
        case Keys():
            return True
        case Column(sql=sql):
            return sql in _COLUMNS
        case Not(inner=inner):
            return comparable(inner)
        case AllOf(of=members) | AnyOf(of=members):
            return all(map(comparable, members))
    return False


def _holds(condition: Condition, resource: Resource, keys: frozenset[int]) -> bool:
    match condition:
        case Keys(any_of=wanted):
            return not keys.isdisjoint(wanted)
        case Column(sql=sql, values=(value,)):
            return _COLUMNS[sql](resource, value)
        case Not(inner=inner):
            return not _holds(inner, resource, keys)
        case AllOf(of=members):
            return all(_holds(item, resource, keys) for item in members)
        case AnyOf(of=members):
            return any(_holds(item, resource, keys) for item in members)
    raise AssertionError(f"{type(condition).__name__} cannot be compared")
