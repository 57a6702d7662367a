"""What storing a SearchParameter changes: which parameters a tenant is indexed by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from fhir_server.indexing.conflicts import conflicts, unresolved
from fhir_server.indexing.definition import facts, is_active, is_official, types_of
from fhir_server.outcome import Issue, Refusal
from fhir_server.search.parameters import SearchParameters
from fhir_server.spec import Definitions, SearchParameterDefinition, definitions
from fhir_server.storage import index_state, jobs
from fhir_server.storage.index_state import INDEXING, REMOVING, HeldParameter, IndexState
from fhir_server.storage.store import Connection

REINDEX = "reindex"


class ParameterRefused(Refusal):
    """A SearchParameter that cannot take effect beside those there are.

    source: `SearchParameter/id`, or the url of one that comes with the server.
    """

    status = 422

    def __init__(self, source: str, issues: Sequence[Issue], *, status: int = 422) -> None:
        super().__init__(issues, status=status)
        self.source = source


@dataclass(frozen=True, slots=True)
class Change:
    """What is stored under a source from now on; None for nothing, or nothing that is active."""

    source: str
    resource: Mapping[str, Any] | None

    def definition(self, known: Definitions) -> SearchParameterDefinition | None:
        """What takes effect; copies of R4's own definitions change nothing."""
        if self.resource is None or not is_active(self.resource):
            return None
        found = facts(self.resource, known)
        return None if is_official(found, known) else found


def definition_of(held: HeldParameter) -> SearchParameterDefinition:
    """The definition of a parameter as it is kept."""
    return msgspec.convert(held.definition, SearchParameterDefinition)


def in_effect(state: IndexState) -> dict[str, SearchParameterDefinition]:
    """By source, every definition that resources are indexed by."""
    return {held.source: definition_of(held) for held in state.parameters if held.state != REMOVING}


async def take_effect(
    connection: Connection, tenant: str, changes: Sequence[Change], now: datetime
) -> bool:
    """Make a new generation with these changes, in the caller's transaction.

    False when they change nothing. Raises `ParameterRefused` when a definition cannot be used
    beside the others, or when one that goes is needed by another one.
    """
    known = definitions()
    state = await index_state.lock(connection, tenant)
    before = in_effect(state)
    after = dict(before)
    for change in changes:
        after.pop(change.source, None)
    for change in changes:
        definition = change.definition(known)
        if definition is not None:
            _check_beside(change.source, definition, after, known)
            after[change.source] = definition
    _check_resolved(changes, after, known)
    return await apply(connection, tenant, state, effective(after, known), now)


async def apply(
    connection: Connection,
    tenant: str,
    state: IndexState,
    after: Mapping[str, SearchParameterDefinition],
    now: datetime,
) -> bool:
    """Make a new generation in which these definitions, by source, are in effect.

    state: locked by the caller's transaction. False when they are in effect already.
    """
    changed = _changed(state, after, definitions())
    if not changed:
        return False
    generation = await index_state.begin_generation(connection, tenant)
    await index_state.keep(
        connection, tenant, [replace(held, generation=generation) for held in changed]
    )
    await jobs.enqueue(connection, tenant, REINDEX, {}, now)
    return True


def effective(
    after: Mapping[str, SearchParameterDefinition], known: Definitions
) -> dict[str, SearchParameterDefinition]:
    """Definitions by source, without those that R4 has in the same way on every type."""
    official = SearchParameters(known)
    return {
        source: definition
        for source, definition in after.items()
        if any(
            official.get(type_, definition.code) is None
            for type_ in types_of(definition.base, known)
        )
    }


def _check_beside(
    source: str,
    definition: SearchParameterDefinition,
    others: Mapping[str, SearchParameterDefinition],
    known: Definitions,
) -> None:
    issues = conflicts(definition, others, known)
    if issues:
        raise ParameterRefused(source, issues)


def _check_resolved(
    changes: Sequence[Change],
    after: Mapping[str, SearchParameterDefinition],
    known: Definitions,
) -> None:
    """Raises `ParameterRefused` for a composite whose components are not all there."""
    changed = {change.source for change in changes}
    parameters = SearchParameters(extra=after.values())
    for source, definition in after.items():
        issues = unresolved(definition, parameters, known)
        if issues and source in changed:
            raise ParameterRefused(source, issues)
        if issues:
            cause = next(change.source for change in changes)
            text = f"{source}, {definition.code!r}, is composed of it: {issues[0].diagnostics}"
            raise ParameterRefused(cause, [Issue("conflict", text)], status=409)


def _changed(
    state: IndexState, after: Mapping[str, SearchParameterDefinition], known: Definitions
) -> list[HeldParameter]:
    """What is to be kept anew, as yet under its former generation."""
    held = {item.source: item for item in state.parameters}
    found: dict[str, HeldParameter] = {}
    for source, item in held.items():
        if source not in after and item.state != REMOVING:
            found[source] = replace(item, state=REMOVING, redefined=True)
    for source, definition in after.items():
        old = held.get(source)
        if old is None or old.state == REMOVING or definition_of(old) != definition:
            found[source] = _indexing(source, definition, old, known)
    urls = {definition_of(item).url for item in found.values()}
    urls |= {definition_of(held[source]).url for source in found if source in held}
    for source, definition in after.items():
        if urls & {url for url, _ in definition.components}:
            found.setdefault(source, _indexing(source, definition, held.get(source), known))
    return list(found.values())


def _indexing(
    source: str,
    definition: SearchParameterDefinition,
    old: HeldParameter | None,
    known: Definitions,
) -> HeldParameter:
    types: Iterable[str] = types_of(definition.base, known)
    if old is not None:
        types = sorted({*types, *old.types})
    return HeldParameter(
        source,
        msgspec.to_builtins(definition),
        INDEXING,
        redefined=old is not None,
        generation=0,
        types=tuple(types),
    )
