"""Everything about HL7 v2 messages that runs in one process."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg

from fhir_server.interactions.engine import Engine
from fhir_server.mapping.convert import Mapper
from fhir_server.messaging.backlog import Backlog
from fhir_server.messaging.carrying import Carrying
from fhir_server.messaging.intake import Intake
from fhir_server.messaging.lines import Lines
from fhir_server.messaging.listening import Listening
from fhir_server.messaging.sending import Sending
from fhir_server.messaging.settings import MessagingSettings
from fhir_server.messaging.writing import Writer
from fhir_server.outcome import Refusal
from fhir_server.storage import messages, outgoing

log = logging.getLogger(__name__)

_SWEEP_EVERY = 600.0
_MOST_AT_ONCE = 1000


def _now() -> datetime:
    return datetime.now(UTC)


class Messaging:
    """Receives, carries out and sends the messages of one tenant.

    mapper: the rules of today; asked for each message, so that they can be read anew.
    keep_days: how long messages that were carried out are kept; None for ever.
    """

    def __init__(
        self,
        engine: Engine,
        tenant: str,
        settings: MessagingSettings,
        mapper: Callable[[], Mapper],
        *,
        writer: Writer,
        keep_days: int | None = None,
    ) -> None:
        self._engine = engine
        self._tenant = tenant
        self._keep_days = keep_days
        carrying = Carrying(engine, tenant, mapper, settings.listeners, _now)
        self._lines = Lines(engine.store, tenant, carrying.carry, at_once=settings.at_once)
        intake = Intake(engine.store, tenant, self._lines, _now)
        self._listening = Listening(
            settings.listeners, intake, max_buffered_bytes=settings.max_buffered_bytes
        )

        self._sending = Sending(engine, tenant, settings, writer)
        names = [each.name for each in settings.destinations]
        self._backlog = Backlog(engine, tenant, names)
        self.health = self._backlog.health

    async def run(self) -> None:
        """Receive, carry out and send until cancelled."""
        async with asyncio.TaskGroup() as tasks, self._listening.open():
            tasks.create_task(self._lines.run())
            tasks.create_task(self._sending.run())
            tasks.create_task(self._sweep())
            tasks.create_task(self._backlog.run())
            await asyncio.Event().wait()

    async def _sweep(self) -> None:
        """Forget messages that were kept for long enough."""
        while self._keep_days is not None:
            before = _now() - timedelta(days=self._keep_days)
            try:
                async with self._engine.store.connection(self._tenant) as connection:
                    gone = max(
                        await messages.forget(connection, self._tenant, before, most=_MOST_AT_ONCE),
                        await outgoing.forget(connection, self._tenant, before, most=_MOST_AT_ONCE),
                    )
            except (Refusal, psycopg.Error, OSError):
                gone = 0
            if gone < _MOST_AT_ONCE:
                await asyncio.sleep(_SWEEP_EVERY)
