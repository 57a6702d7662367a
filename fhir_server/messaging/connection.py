"""One MLLP connection: frames in, answers out, one frame after the other."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import cast

from fhir_server.hl7v2.framing import CutOff, Event, Frame, Framer, Junk, TooLarge, framed
from fhir_server.messaging import answers
from fhir_server.messaging.intake import Intake, Later, Source, Taken

log = logging.getLogger(__name__)

_READ_AT_ONCE = 65536
# A frame whose last byte does not come has ended after a silence of so many seconds.
_SETTLE_AFTER = 0.25
_ACCEPTED, _NOT_ACCEPTED = b"\x06", b"\x15"
_SAFELY_KEPT = "the message could not be taken"


class Budget:
    """Bytes of frames that have not come whole, which one process holds at most."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> bool:
        """Whether there is room for more; then it is taken."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Frames have been dealt with."""
        self._left += size


class Conversation:
    """What is said on one connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        source: Source,
        intake: Intake,
        budget: Budget,
        clock: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._source = source
        self._settings = source.listener
        self._intake = intake
        self._budget = budget
        self._clock = clock
        self._framer = Framer(self._settings.max_frame_bytes)
        self._held = 0
        self._begun = 0.0
        self._ending = False
        self._later: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """Read no more; the frame that is under way is answered yet."""
        self._ending = True
        with suppress(RuntimeError):
            cast(asyncio.Transport, self._writer.transport).pause_reading()
        self._reader.feed_eof()

    async def run(self) -> None:
        """Answer frames until the peer leaves or is silent for too long."""
        try:
            while not self._ending:
                events, over = await self._read()
                for event in events:
                    await self._meet(event)
                if over:
                    return
        finally:
            self._budget.give_back(self._held)
            for each in self._later:
                each.cancel()

    async def _read(self) -> tuple[list[Event], bool]:
        """What came next, and whether that was the last."""
        try:
            async with asyncio.timeout(self._patience()):
                data = await self._reader.read(_READ_AT_ONCE)
        except TimeoutError:
            return self._after_silence()
        if not data:
            return self._framer.close(), True
        inside = self._framer.is_inside
        events = self._framer.feed(data)
        if not self._account(inside and not events, len(data)):
            log.warning("%s: too many bytes of unfinished frames at once", self._source.peer)
            return [], True
        return events, False

    def _patience(self) -> float:
        if self._framer.is_ending:
            return _SETTLE_AFTER
        if self._framer.is_inside:
            return max(self._begun + self._settings.frame_seconds - self._time(), 0.001)
        return self._settings.idle_seconds

    def _after_silence(self) -> tuple[list[Event], bool]:
        if self._framer.is_ending:
            events = self._framer.settle()
            self._account(False, 0)
            return events, False
        why = "a frame did not come whole" if self._framer.is_inside else "nothing came"
        log.info("%s to %s: %s in time", self._source.peer, self._settings.name, why)
        return [], True

    def _account(self, goes_on: bool, size: int) -> bool:
        """Count what is held of an unfinished frame, and since when."""
        if not goes_on:
            self._budget.give_back(self._held)
            self._held = 0
            self._begun = self._time()
        if not self._framer.is_inside:
            return True
        kept = min(size, self._settings.max_frame_bytes - self._held)
        if kept > 0:
            if not self._budget.take(kept):
                return False
            self._held += kept
        return self._begun + self._settings.frame_seconds > self._time()

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    async def _meet(self, event: Event) -> None:
        match event:
            case Frame(payload):
                await self._answer(payload)
            case TooLarge(start, size):
                most = self._settings.max_frame_bytes
                log.warning("%s sent a frame of %d bytes", self._source.peer, size)
                await self._commit(False)
                await self._send([answers.too_large(start, size, most, self._clock())])
            case CutOff(_, size):
                log.warning("%s: a frame was cut off after %d bytes", self._source.peer, size)
            case Junk(size):
                log.warning("%s sent %d bytes outside of frames", self._source.peer, size)

    async def _answer(self, payload: bytes) -> None:
        if payload in (_ACCEPTED, _NOT_ACCEPTED):
            return
        committing = self._commit if self._settings.commit_answers else None
        try:
            taken = await self._intake.take(payload, self._source, committing)
        except Exception:
            log.exception("a frame of %s could not be taken", self._source.peer)
            taken = Taken(False, [answers.unreadable(payload, _SAFELY_KEPT, self._clock())])
        await self._send(taken.now)
        for each in taken.later:
            task = asyncio.create_task(self._send_later(each))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _commit(self, stored: bool) -> None:
        """MLLP release 2: say whether the frame is safe."""
        if self._settings.commit_answers:
            await self._send([_ACCEPTED if stored else _NOT_ACCEPTED])

    async def _send(self, payloads: list[bytes]) -> None:
        if not payloads:
            return
        self._writer.write(b"".join(map(framed, payloads)))
        try:
            async with asyncio.timeout(self._settings.write_seconds):
                await self._writer.drain()
        except TimeoutError:
            raise ConnectionError("the peer does not take its answers") from None

    async def _send_later(self, outcome: Later) -> None:
        """An application acknowledgement, as long as the connection lasts."""
        with suppress(ConnectionError, asyncio.CancelledError):
            told = await outcome
            if told.answer and not self._writer.is_closing():
                await self._send([told.answer])
