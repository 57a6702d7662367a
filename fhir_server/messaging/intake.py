"""From a frame to stored messages, and to what their sender is answered."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import psycopg

from fhir_server.hl7v2.acknowledgment import (
    Code,
    Problem,
    is_answer,
    is_enhanced,
    wants_accept,
    wants_application,
)
from fhir_server.hl7v2.batch import Payload, read_payload
from fhir_server.hl7v2.message import Message, NoHeader, parse
from fhir_server.messaging import answers
from fhir_server.messaging.keeping import Keeping
from fhir_server.messaging.lines import Handed, Lines
from fhir_server.messaging.settings import ListenerSettings
from fhir_server.messaging.taking import unwanted
from fhir_server.outcome import Refusal
from fhir_server.storage import messages
from fhir_server.storage.messages import Arrival, Told
from fhir_server.storage.store import Store

log = logging.getLogger(__name__)

# What is kept of a field beside the message itself; an index takes no longer ones.
_LONGEST_FACT = 200
_NEVER_HERE = "the message could not be stored"

Clock = Callable[[], datetime]
# What comes when a message is carried out.
Later = asyncio.Future[Told]


@dataclass(slots=True)
class Taken:
    """What became of a frame.

    stored: whether all of it is safe. now: what is answered. later: application acknowledgements
        that come when the messages are carried out.
    """

    stored: bool = True
    now: list[bytes] = field(default_factory=list)
    later: list[Later] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a frame came in: at which listener, and from whom."""

    listener: ListenerSettings
    peer: str


class Intake:
    """Stores what listeners receive and says what is answered. Nothing is answered before."""

    def __init__(self, store: Store, tenant: str, lines: Lines, clock: Clock) -> None:
        self._store = store
        self._keeping = Keeping(store, tenant)
        self._tenant = tenant
        self._lines = lines
        self._clock = clock

    async def take(
        self, raw: bytes, source: Source, on_stored: Callable[[bool], Awaitable[None]] | None = None
    ) -> Taken:
        """Store the messages of a frame; in original mode, wait until they are carried out.

        on_stored: told once the frame is stored, or could not be.
        """
        try:
            payload = read_payload(raw)
        except NoHeader as error:
            return await self._take_unreadable(raw, source, str(error))
        taken = Taken()
        answered = [await self._take_message(each, source, taken) for each in payload.messages]
        if on_stored is not None:
            await on_stored(taken.stored)
        for each in answered:
            told = (await each).acknowledgement if isinstance(each, asyncio.Future) else each
            if told:
                taken.now.append(told)
        if payload.is_batch:
            taken.now = [_batched(payload, taken.now)] if taken.now else []
        return taken

    async def _take_unreadable(self, raw: bytes, source: Source, reason: str) -> Taken:
        """Keep bytes that are no message, parked, and answer so that the sender need not wait."""
        now = self._clock()
        answer = answers.unreadable(raw, reason, now)
        arrival = _arrival(None, raw, source, now, answer)
        try:
            await self._keep(arrival, lasting=True)
        except (Refusal, psycopg.Error):
            return Taken(False, [answers.unreadable(raw, _NEVER_HERE, now)])
        self._lines.wake(arrival.sender)
        return Taken(True, [answer])

    async def _take_message(
        self, message: Message, source: Source, taken: Taken
    ) -> Later | bytes | None:
        """Store one message; gives what is answered in its place."""
        if _is_accepted_answer(message):
            return None
        now = self._clock()
        enhanced = is_enhanced(message)
        answer = _at_once(message, enhanced, source.listener, now)
        arrival = _arrival(message, message.encode(), source, now, answer)
        # What is answered only when it is carried out is safe then at the latest.
        lasting = answer is not None or enhanced or source.listener.commit_answers
        try:
            stored = await self._keep(arrival, lasting=lasting)
        except (Refusal, psycopg.Error) as error:
            log.error("a message of %s could not be stored: %s", arrival.sender, error)
            taken.stored = False
            code = Code.CR if enhanced else Code.AR
            return answers.plain(message, code, now, [Problem(answers.INTERNAL, _NEVER_HERE)])
        return await self._answer(message, arrival, stored, enhanced, taken)

    async def _keep(self, arrival: Arrival, *, lasting: bool) -> messages.Stored:
        self._lines.arrived()
        return await self._keeping.keep(arrival, lasting=lasting)

    async def _answer(
        self,
        message: Message,
        arrival: Arrival,
        stored: messages.Stored,
        enhanced: bool,
        taken: Taken,
    ) -> Later | bytes | None:
        told = stored.acknowledgement
        if _may_come_again(stored):
            told = arrival.acknowledgement
            async with self._store.connection(self._tenant) as connection:
                await messages.wait_again(connection, self._tenant, stored.id, told)
        elif stored.state != messages.RECEIVED:
            if enhanced:
                ready: Later = asyncio.get_running_loop().create_future()
                ready.set_result(Told(answer=stored.answer))
                taken.later.append(ready)
            return stored.acknowledgement
        handed = Handed(arrival.held(stored.id), message) if stored.new else None
        if arrival.acknowledgement is None and not enhanced:
            return self._lines.expect(arrival.sender, stored.id, urgent=True, handed=handed)
        if enhanced and asks_application(message):
            expected = self._lines.expect(arrival.sender, stored.id, urgent=False, handed=handed)
            taken.later.append(expected)
        else:
            self._lines.wake(arrival.sender, handed)
        return told


def asks_application(message: Message) -> bool:
    """Whether an application acknowledgement may be wanted, by what comes of the message."""
    if message.value("MSH-16") in ("", "NE") and is_enhanced(message):
        return False
    return any(wants_application(message, code) for code in (Code.AA, Code.AE))


def _at_once(
    message: Message, enhanced: bool, listener: ListenerSettings, now: datetime
) -> bytes | None:
    """What is answered once a message is stored; None if only after it is carried out."""
    if enhanced:
        problem = unwanted(message, listener)
        code = Code.CA if problem is None else Code.CR
        if not wants_accept(message, code):
            return None
        return answers.plain(message, code, now, [problem] if problem else ())
    return b"" if is_answer(message) else None


def _is_accepted_answer(message: Message) -> bool:
    """Whether it only says that an acknowledgement of ours has come: nothing to keep or answer."""
    return message.value("MSH-9.1") == "ACK" and message.value("MSA-1") in ("CA", "CE", "CR")


def _may_come_again(stored: messages.Stored) -> bool:
    """Whether the sender was told that sending it again may help."""
    told = stored.answer or stored.acknowledgement
    if stored.new or stored.state != messages.ERROR or not told:
        return False
    return parse(told).value("MSA-1") in ("AR", "CR")


def _arrival(
    message: Message | None,
    raw: bytes,
    source: Source,
    now: datetime,
    answer: bytes | None,
) -> Arrival:
    fact = partial(_fact, message)
    application, facility, control_id = fact(3), fact(4), fact(10)
    type_ = "^".join(each for each in (fact(9), fact(9, 2)) if each)
    return Arrival(
        key=_key(application, facility, control_id) if control_id else None,
        listener=source.listener.name,
        peer=source.peer,
        sender=f"{application}|{facility}" if application or facility else source.peer,
        application=application,
        facility=facility,
        receiving_application=fact(5),
        receiving_facility=fact(6),
        message_time=fact(7),
        type=type_,
        control_id=control_id,
        processing_id=fact(11),
        version=fact(12),
        charset=message.decoded.codec if message is not None else "",
        content=raw,
        sha256=hashlib.sha256(raw).digest(),
        received=now,
        acknowledgement=answer,
    )


def _fact(message: Message | None, number: int, component: int = 1) -> str:
    """A component of MSH, as it can be stored."""
    if message is None:
        return ""
    text = message.header.raw(number)
    if component > 1 or not text.isalnum():
        text = message.header.value(number, 1, component)
    return text.replace("\0", "\ufffd")[:_LONGEST_FACT]


def _key(*parts: str) -> int:
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _batched(payload: Payload, told: Sequence[bytes]) -> bytes:
    """The answers to the messages of a batch, as a batch (HL7 v2 2.10.3)."""
    header = payload.batches[0] if payload.batches else payload.file
    assert header is not None
    field_separator = header.delimiters.field
    codec = header.decoded.codec
    begin = f"BHS{field_separator}{header.delimiters.encoding_characters}\r".encode(codec)
    end = f"BTS{field_separator}{len(told)}\r".encode(codec)
    return begin + b"".join(told) + end
