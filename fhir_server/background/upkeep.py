"""Keeps the search index quick to read while little is written.

Every look-up by key reads all that was written since the last merge, up to 256 kB. PostgreSQL
merges when that is full; after the last write of a busy hour it would stay until the next vacuum,
and a walk with a look-up for each row would take ten times as long.
"""

import asyncio

import psycopg

from fhir_server.background.territories import Tenants
from fhir_server.outcome import Refusal
from fhir_server.storage.pending import merge_pending
from fhir_server.storage.store import Store

_EVERY_SECONDS = 5.0


class Upkeep:
    """Merges what the indexes of each tenant keep aside, every few seconds."""

    def __init__(self, store: Store, tenants: Tenants) -> None:
        self._store = store
        self._tenants = tenants

    async def run(self) -> None:
        """Merge until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                for tenant in self._tenants():
                    async with self._store.server() as connection:
                        await merge_pending(connection, tenant)
            except (Refusal, psycopg.Error, OSError):
                # The database does not answer; nothing is lost by waiting.
                continue
