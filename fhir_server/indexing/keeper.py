"""Keeps what a process holds of the search index as the database has it."""

import asyncio
import logging
import time
from datetime import UTC, datetime

import psycopg

from fhir_server.indexing.indexes import Indexes
from fhir_server.indexing.startup import prepare
from fhir_server.outcome import Refusal
from fhir_server.storage import tenants
from fhir_server.storage.index_state import channel
from fhir_server.storage.listen import Listener
from fhir_server.storage.store import Store
from fhir_server.storage.tenants import Pulse

log = logging.getLogger(__name__)

# Should a notification be missed, no worker is behind for longer; progress is shown as often.
_LOOK_EVERY = 1.0
_FIRST_WITHIN = 5.0
_AT_LEAST_EVERY = 30.0


class Keeper:
    """Reads the state when it is told that it changed, and once in a while."""

    def __init__(
        self,
        store: Store,
        listener: Listener,
        indexes: Indexes,
    ) -> None:
        self._store = store
        self._indexes = indexes
        self._prepared: set[str] = set()
        self._seen: dict[str, tuple[str, float]] = {}
        self._wake = listener.on_tenants(channel)
        self._answers = True

    async def start(self) -> None:
        """Read the state for the first time, unless the database lets us wait."""
        try:
            async with asyncio.timeout(_FIRST_WITHIN):
                await self._look()
        except TimeoutError:
            log.warning("the database does not answer yet")

    async def run(self) -> None:
        """Follow the state until cancelled."""
        while True:
            await self._wake.wait(_LOOK_EVERY)
            await self._look()

    async def _look(self) -> None:
        try:
            async with self._store.server() as connection:
                pulses = await tenants.pulses(connection, datetime.now(UTC))
            for pulse in pulses:
                if not pulse.settled or self._is_new(pulse):
                    await self._reload(pulse.tenant)
                    self._seen[pulse.tenant] = (pulse.index_state, time.monotonic())
            self._answers = True
        except (Refusal, psycopg.Error, OSError) as error:
            if self._answers:
                told = error if isinstance(error, Refusal) else type(error).__name__
                log.warning("the search parameters cannot be read: %s", told)
            self._answers = False

    def _is_new(self, pulse: Pulse) -> bool:
        state, at = self._seen.get(pulse.tenant, ("", 0.0))
        return state != pulse.index_state or time.monotonic() - at > _AT_LEAST_EVERY

    async def _reload(self, tenant: str) -> None:
        async with self._store.connection(tenant) as connection:
            if tenant not in self._prepared:
                await prepare(connection, tenant, datetime.now(UTC), self._indexes.seals)
                self._prepared.add(tenant)
            await self._indexes.reload(connection, tenant)

    async def forget(self, tenant: str) -> None:
        """Keep nothing of a tenant that is not served any more."""
        self._prepared.discard(tenant)
        self._seen.pop(tenant, None)
        self._indexes.forget(tenant)
