"""How many HL7 v2 messages wait, and how many are parked: for metrics and for the health page."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import psycopg
from prometheus_client import Gauge

from fhir_server.context import system_clock
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.storage import messages, outgoing
from fhir_server.storage.migrate import DEFAULT_TENANT

_RECEIVED = Gauge(
    "fhir_hl7v2_messages",
    "HL7 v2 messages received that are not carried out: waiting or parked.",
    ["tenant", "state"],
    multiprocess_mode="mostrecent",
)
_OLDEST = Gauge(
    "fhir_hl7v2_oldest_waiting_seconds",
    "How long the oldest HL7 v2 message that is not carried out has waited.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
_OUTGOING = Gauge(
    "fhir_hl7v2_outgoing_messages",
    "HL7 v2 messages that are not sent: waiting or parked.",
    ["tenant", "destination", "state"],
    multiprocess_mode="mostrecent",
)
_LOOK_EVERY = 10.0


class Backlog:
    """What of a tenant's messages is not done. destinations: their names."""

    def __init__(self, engine: Engine, tenant: str, destinations: Sequence[str]) -> None:
        self._engine = engine
        self._tenant = tenant
        self._destinations = destinations

    async def run(self) -> None:
        """Keep the metrics up to date until cancelled."""
        while True:
            with suppress(Refusal, psycopg.Error, OSError):
                await self._measure()
            await asyncio.sleep(_LOOK_EVERY)

    async def health(self) -> Mapping[str, str | int]:
        """The counts by name, as the health page tells them. Raises `Refusal`."""
        (waiting, parked, _), sent = await self._counts()
        before = "" if self._tenant == DEFAULT_TENANT else f"{self._tenant}-"
        found = {f"{before}hl7v2-waiting": waiting, f"{before}hl7v2-parked": parked}
        for (destination, state), count in sent.items():
            found[f"{before}hl7v2-{destination}-{state}"] = count
        return found

    async def _measure(self) -> None:
        (waiting, parked, oldest), sent = await self._counts()
        _RECEIVED.labels(self._tenant, "waiting").set(waiting)
        _RECEIVED.labels(self._tenant, "parked").set(parked)
        age = (system_clock() - oldest).total_seconds() if oldest else 0.0
        _OLDEST.labels(self._tenant).set(max(age, 0.0))
        for (destination, state), count in sent.items():
            _OUTGOING.labels(self._tenant, destination, state).set(count)

    async def _counts(
        self,
    ) -> tuple[tuple[int, int, datetime | None], dict[tuple[str, str], int]]:
        async with self._engine.store.connection(self._tenant) as connection:
            received = await messages.backlog(connection, self._tenant)
            sent = await outgoing.backlog(connection, self._tenant)
        names = {outgoing.QUEUED: "waiting", outgoing.FAILED: "parked"}
        found = {(name, state): 0 for name in self._destinations for state in names.values()}
        for (destination, state), count in sent.items():
            found[destination, names[state]] = count
        return received, found
