"""Messages on their way out: from changes to a queue, and from the queue to their receivers."""

import asyncio
import logging
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg

from fhir_server.context import Context, system_clock
from fhir_server.fhir_json import decode
from fhir_server.interactions.changes import Change, locked, store_changes
from fhir_server.interactions.engine import Engine
from fhir_server.messaging.client import Client, NoAnswer
from fhir_server.messaging.composing import TYPES, Composed, Composing
from fhir_server.messaging.settings import DestinationSettings, MessagingSettings
from fhir_server.messaging.watching import watch
from fhir_server.messaging.writing import Writer
from fhir_server.operations import message_records as records
from fhir_server.outcome import Refusal
from fhir_server.security.principal import program
from fhir_server.storage import outgoing
from fhir_server.storage.outgoing import FAILED, QUEUED, SENT, Queued
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.25
_TAKE_OVER_EVERY = 2.0
_AFTER_FAILURE = 1.0
_LONGEST_PAUSE = 60.0
_AT_ONCE = 100
# What becomes of the record of a message when it is sent or parked.
_TOLD = ("extension", "status", "sent", "identifier", "topic", "payload")
_GOOD, _BAD = ("AA", "CA"), ("AE", "CE")


class Sending:
    """What sends in one process; of several, one is at each destination at a time."""

    def __init__(
        self,
        engine: Engine,
        tenant: str,
        settings: MessagingSettings,
        writer: Writer,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._tenant = tenant
        self._ctx = Context(
            tenant=tenant, principal=program("HL7 v2 sender"), base_url=engine.where.base_url
        )
        self._composing = Composing(engine, self._ctx, settings, writer)

    async def run(self) -> None:
        """Send until cancelled."""
        wanted = {TYPES[sent] for each in self._settings.destinations for sent in each.sends}
        await watch(self._engine, self._tenant, wanted)
        async with asyncio.TaskGroup() as tasks:
            if self._settings.destinations:
                tasks.create_task(self._compose())
            for each in self._settings.destinations:
                tasks.create_task(self._deliver(each))

    async def _compose(self) -> None:
        while True:
            try:
                found = await self._take_changes()
            except (Refusal, psycopg.Error, OSError) as error:
                log.warning("changes wait to be sent: %s", error)
                found = 0
                await asyncio.sleep(_AFTER_FAILURE)
            if not found:
                await asyncio.sleep(_LOOK_EVERY)

    async def _take_changes(self) -> int:
        """Queue messages for the oldest changes, in the transaction that forgets these."""
        async with self._engine.store.transaction(self._tenant) as connection:
            found = await outgoing.changes(connection, self._tenant, limit=_AT_ONCE)
            for each in found or ():
                for composed in await self._composing.compose(connection, each):
                    await self._enqueue(connection, composed)
            if found:
                await outgoing.looked_at(connection, self._tenant, found)
        return len(found or ())

    async def _enqueue(self, connection: Connection, composed: Composed) -> None:
        now = self._ctx.now()
        state = QUEUED if composed.message is not None else FAILED
        queued = Queued(
            0, str(uuid.uuid4()), composed.destination.name, composed.control_id, composed.type,
            list(composed.about), composed.content, now, state, 0, now, None,
            composed.reason or None,
        )  # fmt: skip
        seal = self._engine.store.statements(self._tenant).seal
        await outgoing.enqueue(connection, self._tenant, queued, seal)
        facts = self._facts(composed.destination, queued, state, now)
        record = records.communication(replace(facts, reason=composed.reason))
        if composed.patient:
            record["subject"] = {"reference": composed.patient}
        if composed.orders:
            record["basedOn"] = [{"reference": each} for each in composed.orders]
        change = Change("Communication", queued.record, None, record, "PUT")
        await self._store(connection, change)

    def _facts(
        self, destination: DestinationSettings, queued: Queued, state: str, at: datetime
    ) -> records.Facts:
        return records.Facts(
            queued.record,
            records.OUTGOING,
            state,
            queued.type,
            queued.control_id,
            (self._settings.application, self._settings.facility),
            (destination.application, destination.facility),
            len(queued.content),
            at,
        )

    async def _store(self, connection: Connection, change: Change) -> None:
        """Store a record of our own, which needs no check."""
        engine = self._engine.within(connection)
        await store_changes(engine, self._ctx.at_once(), connection, [change])

    async def _deliver(self, destination: DestinationSettings) -> None:
        """Send what is queued for a destination, whenever no other process does."""
        while True:
            try:
                async with await self._engine.store.lasting(self._tenant) as connection:
                    if await outgoing.hold(connection, self._tenant, destination.name):
                        await self._send_all(connection, destination)
            except (Refusal, psycopg.Error, OSError) as error:
                log.warning("nothing is sent to %s: %s", destination.name, error)
            await asyncio.sleep(_TAKE_OVER_EVERY)

    async def _send_all(self, connection: Connection, destination: DestinationSettings) -> None:
        """Send until the connection that holds the lock is lost."""
        context = destination.tls.context() if destination.tls is not None else None
        client = Client(
            destination.host,
            destination.port,
            context,
            destination.tls.server_name if destination.tls is not None else None,
            destination.connect_seconds,
            destination.answer_seconds,
        )
        failures = 0
        try:
            while True:
                seal = self._engine.store.statements(self._tenant).seal
                queued = await outgoing.next_for(connection, self._tenant, destination.name, seal)
                wait = (queued.due - system_clock()).total_seconds() if queued else _LOOK_EVERY
                if queued is None or wait > 0:
                    await asyncio.sleep(min(max(wait, 0.01), _TAKE_OVER_EVERY))
                    continue
                good = await self._send(client, destination, queued, failures)
                failures = 0 if good else failures + 1
        finally:
            with suppress(OSError):
                await client.close()

    async def _send(
        self, client: Client, destination: DestinationSettings, queued: Queued, failures: int
    ) -> bool:
        """Send one message; whether the destination answered."""
        if not queued.content:
            made = await self._written(destination, queued)
            if made is None:
                return True
            queued = made
        try:
            answer = await client.ask(queued.content, queued.control_id)
        except NoAnswer as failure:
            await self._put_off(destination, queued, str(failure), failures, counts=failure.reached)
            return False
        code = answer.value("MSA-1")
        raw = answer.encode()
        if code in _GOOD:
            await self._finish(destination, queued, SENT, raw, None)
            return True
        reason = (
            " ".join(e for e in (code, answer.value("MSA-3"), answer.value("ERR-8")) if e)
            or "an acknowledgement without a code"
        )
        if code in _BAD:
            await self._finish(destination, queued, FAILED, raw, reason)
        else:
            await self._put_off(destination, queued, reason, failures, counts=True, raw=raw)
        return True

    async def _written(self, destination: DestinationSettings, queued: Queued) -> Queued | None:
        """A message that could not be made when it was queued; None if it still cannot."""
        seal = self._engine.store.statements(self._tenant).seal
        async with self._engine.store.transaction(self._tenant) as connection:
            made = await self._composing.again(connection, queued, destination)
            found = replace(
                queued, control_id=made.control_id, type=made.type, content=made.content
            )
            if made.message is not None:
                await outgoing.write(connection, self._tenant, found, seal)
        if made.message is None:
            await self._finish(destination, queued, FAILED, None, made.reason)
            return None
        return found

    async def _put_off(
        self,
        destination: DestinationSettings,
        queued: Queued,
        reason: str,
        failures: int,
        *,
        counts: bool,
        raw: bytes | None = None,
    ) -> None:
        """Try again later, or park a message that was tried often enough."""
        if counts and queued.attempts + 1 >= destination.most_attempts:
            await self._finish(destination, queued, FAILED, raw, reason)
            return
        pause = min(2.0 ** max(failures, queued.attempts), _LONGEST_PAUSE)
        log.warning("%s does not take a message: %s", destination.name, reason)
        due = system_clock() + timedelta(seconds=pause)
        async with self._engine.store.connection(self._tenant) as connection:
            await outgoing.put_off(connection, self._tenant, queued.id, due, reason, counts=counts)

    async def _finish(
        self,
        destination: DestinationSettings,
        queued: Queued,
        state: str,
        answer: bytes | None,
        reason: str | None,
    ) -> None:
        """Say what became of a message, in the queue and in its record."""
        async with self._engine.store.transaction(self._tenant) as connection:
            now = self._ctx.now()
            if not await outgoing.finish(
                connection, self._tenant, queued.id, state, answer, reason, now
            ):
                return
            await self._tell(connection, destination, queued, state, reason)

    async def _tell(
        self,
        connection: Connection,
        destination: DestinationSettings,
        queued: Queued,
        state: str,
        reason: str | None,
    ) -> None:
        facts = self._facts(destination, queued, state, self._ctx.now())
        fresh = records.communication(facts)
        engine = self._engine.within(connection)
        old = await locked(engine, self._ctx, connection, "Communication", queued.record)
        record = fresh
        if old is not None and old.content is not None:
            known = decode(old.content)
            record = known | {name: fresh[name] for name in _TOLD if name in fresh}
        record.pop("statusReason", None)
        if reason:
            record["statusReason"] = {"text": records.clean(reason)}
        await self._store(connection, Change("Communication", queued.record, old, record, "PUT"))
