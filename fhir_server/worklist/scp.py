"""The DICOM server that modalities ask: C-ECHO, C-FIND of the worklist, N-CREATE and N-SET of MPPS.

pynetdicom gives each association a thread. What they need of the database is done by the process's
event loop; the rest, from resources to encoded answers, in the thread, so that requests over HTTP
go on meanwhile.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from fhir_server.context import Context, system_clock
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.security.principal import program
from fhir_server.storage.migrate import DEFAULT_TENANT
from fhir_server.storage.ownership import OwnershipLost, owning
from fhir_server.worklist.answers import answer, read_keys, wanted
from fhir_server.worklist.encoding import Encoding
from fhir_server.worklist.entries import Entries
from fhir_server.worklist.export import Export
from fhir_server.worklist.mpps import Mpps, Refused
from fhir_server.worklist.noting import EXPORT, FIND, note_steps
from fhir_server.worklist.reading import Found, TooMany, Wanted, read_steps
from fhir_server.worklist.settings import WorklistSettings

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")
_Answers = Iterator[tuple[int, Dataset | None]]

# Names of patients do not go into logs.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.WARNING)
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
_OUT_OF_RESOURCES, _NOT_UNDERSTOOD, _UNABLE = 0xA700, 0xA900, 0xC001
_PROCESSING_FAILURE = 0x0110
_WITHIN_SECONDS = 60.0
_ASSOCIATIONS = 50
_NAME = "worklist"
_MADE_EVERY_SECONDS = 5.0
# What a transaction that is under way now will have changed.
_OVERLAP = timedelta(seconds=60)


def step_context(station: str, base_url: str, tenant: str = DEFAULT_TENANT) -> Context:
    """A device that calls is nobody else than a system, known by its title."""
    return Context(
        tenant=tenant, principal=program(f"dicom:{station}"), door="dicom", base_url=base_url
    )


class WorklistServer:
    """The server of one process; of all processes one listens at a time."""

    def __init__(self, engine: Engine, settings: WorklistSettings, database_url: str) -> None:
        self._engine = engine
        self._settings = settings
        self._database_url = database_url
        self._entries = Entries(settings.zone)
        self._mpps = Mpps(engine)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Wait for the turn of this process, and listen until cancelled."""
        self._loop = asyncio.get_running_loop()
        with suppress(OwnershipLost):
            async with owning(self._database_url, _NAME) as ownership:
                server = self._listen() if self._settings.port else None
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(ownership.held())
                        if server is not None:
                            tasks.create_task(self._keep_made())
                        if self._settings.export is not None:
                            exporting = step_context("export", self._engine.where.base_url)
                            export = Export(
                                self._settings.export,
                                self._entries,
                                partial(self._steps, DEFAULT_TENANT),
                                partial(note_steps, self._engine.audit, exporting, EXPORT),
                            )
                            tasks.create_task(export.run())
                except* OwnershipLost:
                    log.warning("another process may answer modalities now")
                finally:
                    if server is not None:
                        await asyncio.to_thread(server.shutdown)

    def _listen(self) -> ThreadedAssociationServer:
        entity = AE(ae_title=self._settings.title)
        entity.require_called_aet = True
        entity.require_calling_aet = self._settings.may_call
        entity.maximum_associations = _ASSOCIATIONS
        for context in (
            Verification, ModalityWorklistInformationFind, ModalityPerformedProcedureStep
        ):  # fmt: skip
            entity.add_supported_context(context)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, _answer_at_once),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, self._set),
        ]
        address = (self._settings.host, self._settings.port)
        server = entity.start_server(address, block=False, evt_handlers=handlers)
        assert server is not None
        log.info("modalities are answered at port %d as %s", address[1], self._settings.title)
        return server

    async def _keep_made(self) -> None:
        """Make entries before they are asked for: that takes as long as to send them."""
        changed = dict.fromkeys(self._settings.tenants, "")
        while True:
            for tenant, since in changed.items():
                now = system_clock()
                try:
                    steps = await self._steps(tenant, Wanted(changed=since))
                    await asyncio.to_thread(self._entries.make, steps)
                    changed[tenant] = (now - _OVERLAP).isoformat()
                except (Refusal, TooMany):
                    # Whoever asks for them is told.
                    log.info("the worklist is not made beforehand now")
            await asyncio.sleep(_MADE_EVERY_SECONDS)

    async def _steps(self, tenant: str, wanted: Wanted) -> list[Found]:
        ctx = step_context(_NAME, self._engine.where.base_url, tenant)
        return await read_steps(self._engine, ctx, wanted)

    def _context(self, event: evt.Event) -> Context:
        station = _caller(event)
        return step_context(station, self._engine.where.base_url, self._settings.tenant(station))

    def _find(self, event: evt.Event) -> _Answers:
        """C-FIND of the worklist (PS3.4 K.4.1)."""
        try:
            keys = read_keys(event.identifier)
            asked = wanted(keys)
        except Exception as error:
            log.warning("a worklist query is not understood: %s", type(error).__name__)
            yield _NOT_UNDERSTOOD, None
            return
        try:
            steps = self._wait(self._steps(self._settings.tenant(_caller(event)), asked))
        except TooMany:
            yield _OUT_OF_RESOURCES, None
            return
        except (Refusal, TimeoutError) as error:
            log.warning("the worklist cannot be read: %s", error or "that takes too long")
            yield _UNABLE, None
            return
        encoding = _encoding(event, self._settings.character_set(_caller(event)))
        answers = [(step, answer(keys, self._entries.entry(step), encoding)) for step in steps]
        told = [(step, found) for step, found in answers if found is not None]
        try:
            self._note(event, [step for step, _ in told])
        except (Refusal, TimeoutError):
            yield _UNABLE, None
            return
        for _, found in told:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield PENDING, found
        if encoding.nearest:
            log.warning("%s lacks letters of the worklist: the nearest are sent", encoding.name)

    def _note(self, event: evt.Event, steps: list[Found]) -> None:
        ctx = self._context(event)
        address = str(event.assoc.requestor.address or "")
        self._wait(note_steps(self._engine.audit, replace(ctx, address=address), FIND, steps))

    def _create(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """N-CREATE of a performed procedure step (PS3.4 F.7.2.1)."""
        uid = getattr(event.request, "AffectedSOPInstanceUID", None)
        return self._told(event, str(uid or ""), event.attribute_list, new=True)

    def _set(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """N-SET of a performed procedure step (PS3.4 F.7.2.2)."""
        uid = getattr(event.request, "RequestedSOPInstanceUID", None)
        return self._told(event, str(uid or ""), event.modification_list, new=False)

    def _told(
        self, event: evt.Event, uid: str, attributes: Dataset, *, new: bool
    ) -> tuple[int, Dataset | None]:
        ctx = self._context(event)
        carry_out = self._mpps.create if new else self._mpps.change
        try:
            self._wait(carry_out(ctx, _caller(event), uid, attributes))
        except Refused as refused:
            log.warning("a performed procedure step is refused: %s", refused)
            return refused.status, None
        except (Refusal, TimeoutError):
            log.exception("a performed procedure step could not be taken")
            return _PROCESSING_FAILURE, None
        return SUCCESS, attributes

    def _wait(self, work: "Awaitable[_Value]") -> _Value:
        assert self._loop is not None

        async def awaited() -> _Value:
            return await work

        future = asyncio.run_coroutine_threadsafe(awaited(), self._loop)
        try:
            return future.result(_WITHIN_SECONDS)
        except TimeoutError:
            future.cancel()
            raise


def _caller(event: evt.Event) -> str:
    return str(event.assoc.requestor.ae_title).strip()


def _encoding(event: evt.Event, character_set: str) -> Encoding:
    syntax = UID(event.context.transfer_syntax)
    return Encoding(character_set, implicit=syntax.is_implicit_VR, little=syntax.is_little_endian)


def _answer_at_once(event: evt.Event) -> None:
    """Small answers do not wait for the acknowledgement of those before them."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
