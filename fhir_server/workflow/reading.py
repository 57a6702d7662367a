"""Reading what rules have to know of: a few statements for all orders of a transaction."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.lookups import START, Row, Wanted, find
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection
from fhir_server.workflow.orders import Identity, Resource
from fhir_server.workflow.result_writes import RESULTS

# Enough to name; an order with more has results all the same.
_MOST_RESULTS = 100
_MOST_CARE_TEAMS = 1000


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads inside one transaction."""

    engine: Engine
    ctx: Context
    connection: Connection

    async def lock(self, identities: Collection[Identity]) -> Mapping[Identity, Stored]:
        """The current versions of those that ever were, which nobody else changes now."""
        statements = self.engine.statements(self.ctx)
        return await resources.lock_current(self.connection, statements, identities)

    async def existing(self, identities: Collection[Identity]) -> dict[Identity, Resource]:
        """Those that exist, as they are now."""
        statements = self.engine.statements(self.ctx)
        found = await resources.read_many(self.connection, statements, identities)
        return {identity: decode(content) for identity, content in found.items()}

    async def last(self, deleted: Stored) -> Resource | None:
        """A deleted resource as it was before."""
        statements = self.engine.statements(self.ctx)
        found = await resources.version(
            self.connection, statements, deleted.type, deleted.id, deleted.version - 1
        )
        resource: Resource | None = content(found)
        return resource

    async def results(self, order: Identity) -> set[Identity]:
        """What is based on an order."""
        rows = await self._referring("/".join(order), RESULTS.items(), _MOST_RESULTS)
        return {(row.type, row.id) for row in rows}

    async def care_teams(self, patient: Identity) -> list[Resource]:
        """The care teams of a patient."""
        parameters = [("CareTeam", "patient")]
        rows = await self._referring("/".join(patient), parameters, _MOST_CARE_TEAMS)
        return [decode(row.content or b"") for row in rows]

    async def _referring(
        self, target: str, parameters: Iterable[tuple[str, str]], most: int
    ) -> list[Row]:
        known = self.engine.searchable(self.ctx).parameters
        named = (known.get(type_, code) for type_, code in parameters)
        hashes = [each.hash for each in named if each is not None]
        wanted = Wanted(keys={each ^ hash64_uncached(target) for each in hashes})
        at = self.engine.settling(self.ctx, self.connection)
        rows, _ = await find(at, wanted, [], after=START, most=most, read=most)
        return rows


def content(stored: Stored | None) -> Any:
    """The resource of a version; None if there is none or it is a deletion."""
    return None if stored is None or stored.content is None else decode(stored.content)
