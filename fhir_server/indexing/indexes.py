"""The search index of each tenant, as this process knows it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from fhir_server.indexing.changes import REINDEX, definition_of, in_effect
from fhir_server.indexing.definition import types_of
from fhir_server.indexing.progress import (
    RESEAL,
    Resealing,
    Waiting,
    resealing_of,
    waiting,
)
from fhir_server.outcome import Issue, Unavailable
from fhir_server.sealing.tenants import Seals, changes
from fhir_server.search.extract import FORMAT, Extractor
from fhir_server.search.index import SearchIndex
from fhir_server.search.parameters import ANY_TYPE, SearchParameter, SearchParameters
from fhir_server.search.sealed import sealed, touches
from fhir_server.spec import definitions
from fhir_server.storage import index_state, jobs
from fhir_server.storage.index_state import INDEXING, IndexState
from fhir_server.storage.keys import CHANGING
from fhir_server.storage.store import Connection

_SOON = {"Retry-After": "1"}


class Indexes:
    """The snapshots of one process, one a tenant.

    extractor_for: makes the extractor that goes with a set of parameters.
    seals: of what is encrypted at rest; None where nothing can be.
    """

    def __init__(
        self,
        extractor_for: Callable[[SearchParameters], Extractor],
        seals: Seals | None = None,
    ) -> None:
        self._extractor_for = extractor_for
        self.seals = seals
        official = SearchParameters()
        self._official = SearchIndex(official, extractor_for(official))
        self._by_tenant: dict[str, SearchIndex] = {}

    def of(self, tenant: str) -> SearchIndex:
        """What this process holds. Raises `Unavailable` before it was first read."""
        index = self._by_tenant.get(tenant)
        if index is None:
            if self.seals is not None and (problem := self.seals.problem(tenant)) is not None:
                raise problem
            text = "The search parameters are not read from the database yet"
            raise Unavailable(Issue("transient", text), headers=_SOON)
        return index

    def known(self, tenant: str) -> SearchIndex:
        """What is held or, before anything was read, R4's own parameters: for showing only."""
        return self._by_tenant.get(tenant, self._official)

    def __contains__(self, tenant: object) -> bool:
        """Whether what a tenant has was read."""
        return tenant in self._by_tenant

    def forget(self, tenant: str) -> None:
        """Keep nothing of a tenant that is not served any more."""
        self._by_tenant.pop(tenant, None)
        if self.seals is not None:
            self.seals.forget(tenant)

    async def reload(self, connection: Connection, tenant: str) -> SearchIndex:
        """Read what there is now; what did not change is kept.

        Raises `Unavailable` when a newer release writes to the database, and when the keys of what
        is encrypted at rest cannot be had.
        """
        before = self._by_tenant.get(tenant)
        state = await index_state.load(connection, tenant)
        if state.target > FORMAT:
            self._by_tenant.pop(tenant, None)
            text = "A newer release of the server has taken over the database"
            raise Unavailable(Issue("transient", text))
        found = Waiting()
        if not state.settled:
            found = waiting(await jobs.unfinished(connection, tenant, REINDEX))
        resealing = Resealing()
        if state.sealing.state == CHANGING:
            resealing = resealing_of(await jobs.unfinished(connection, tenant, RESEAL))
        try:
            seal = None
            if self.seals is not None:
                seal = await self.seals.adopt(connection, tenant, state.sealing)
        except Unavailable:
            self._by_tenant.pop(tenant, None)
            raise
        known = self._by_tenant.get(tenant)
        if known is not None and known is not before and known.generation > state.generation:
            # Somebody else read later what was read here earlier.
            return known
        if known is None or known.generation != state.generation:
            parameters = SearchParameters(extra=in_effect(state).values())
            if seal is not None:
                parameters = sealed(parameters, seal)
            known = SearchIndex(parameters, self._extractor_for(parameters), state.generation)
        index = replace(
            known,
            unready={
                **dict(_unready(state, known.parameters, found)),
                **dict(_being_sealed(state, known.parameters, resealing)),
            },
            incomplete=_incomplete(state, found),
            sealed=seal is not None,
        )
        self._by_tenant[tenant] = index
        return index


def _unready(
    state: IndexState, parameters: SearchParameters, found: Waiting
) -> Iterator[tuple[tuple[str, str], str]]:
    for held in state.parameters:
        if held.state != INDEXING:
            continue
        definition = definition_of(held)
        text = found.describe(held.generation)
        for type_ in (ANY_TYPE, *types_of(definition.base, definitions())):
            parameter = parameters.get(type_, definition.code)
            # On some types R4 may have defined it, in the same way.
            if parameter is not None and parameter.definition == definition:
                place = "all types" if type_ == ANY_TYPE else type_
                problem = f"The search parameter {definition.code!r} of {place} is being indexed"
                yield (type_, definition.code), f"{problem}: {text}"


def _being_sealed(
    state: IndexState, parameters: SearchParameters, resealing: Resealing
) -> Iterator[tuple[tuple[str, str], str]]:
    """The parameters of elements that are sealed in a part of what is stored, in other ways."""
    changing = changes(state.sealing)
    text = resealing.describe(state.sealing.generation) if changing else ""
    for type_ in changing.elements:
        for parameter in _touched(parameters, type_, changing.properties):
            problem = f"What {parameter.code!r} of {type_} finds is being encrypted or decrypted"
            yield (type_, parameter.code), f"{problem}: {text}"


def _touched(
    parameters: SearchParameters, type_: str, properties: Mapping[str, frozenset[str]]
) -> Iterable[SearchParameter]:
    return (each for each in parameters.of(type_) if touches(parameters, each, properties))


def _incomplete(state: IndexState, found: Waiting) -> str:
    if state.format == state.target:
        return ""
    return f"The search index is being made anew after an upgrade: {found.describe(0)}"
