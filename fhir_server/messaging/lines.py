"""Messages carried out one after the other, by sender, in whichever worker is free."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from fhir_server.outcome import Refusal
from fhir_server.storage import messages
from fhir_server.storage.messages import Told
from fhir_server.storage.store import Store

log = logging.getLogger(__name__)

# How often to look for messages whose worker is gone.
_LOOK_EVERY = 1.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
_AFTER_FAILURE = 1.0
# While messages stream in, those that nobody waits for are carried out this seldom, by sender:
# a sender that is answered late sends late.
_GIVE_WAY = 1.0
_STREAMING = 0.05


@dataclass(frozen=True, slots=True)
class Done:
    """A message is carried out, for better or worse."""

    id: int
    told: Told


@dataclass(frozen=True, slots=True)
class Nothing:
    """No message of the sender waits."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another worker carries out a message of the sender."""


@dataclass(frozen=True, slots=True)
class Later:
    """What stood in the way may pass."""

    seconds: float


Progress = Done | Nothing | Elsewhere | Later
# Carries out the oldest message of a sender that waits.
Carry = Callable[[str], Awaitable[Progress]]


@dataclass(slots=True)
class _Line:
    """The messages of one sender that this worker knows to wait.

    again: whether something came since it was last looked. urgent: senders that wait for their
    answer and send nothing before.
    """

    task: asyncio.Task[None] | None = None
    again: bool = True
    urgent: int = 0
    waiting: dict[int, list[asyncio.Future[Told]]] = field(default_factory=dict)

    def calm(self) -> None:
        self.urgent -= 1

    def resolve(self, id_: int, told: Told) -> None:
        for future in self.waiting.pop(id_, ()):
            if not future.done():
                future.set_result(told)


class Lines:
    """The lines of one worker.

    at_once: senders whose messages are carried out at the same time.
    """

    def __init__(self, store: Store, tenant: str, carry: Carry, *, at_once: int) -> None:
        self._store = store
        self._tenant = tenant
        self._carry = carry
        self._bound = asyncio.Semaphore(at_once)
        self._lines: dict[str, _Line] = {}
        self._last_arrival = 0.0

    def expect(self, sender: str, id_: int, *, urgent: bool) -> asyncio.Future[Told]:
        """What a stored message's sender will be told; it is carried out when its turn comes.

        urgent: whether the sender waits for that.
        """
        line = self._line(sender)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Told] = loop.create_future()
        line.waiting.setdefault(id_, []).append(future)
        if urgent:
            line.urgent += 1
            future.add_done_callback(lambda _: line.calm())
        return future

    def arrived(self) -> None:
        """A message has come: what nobody waits for gives way to the next one."""
        self._last_arrival = asyncio.get_running_loop().time()

    def wake(self, sender: str) -> None:
        """Carry out what waits of a sender."""
        self._line(sender)

    async def run(self) -> None:
        """Look for messages that nobody carries out, until cancelled."""
        try:
            while True:
                with suppress(Refusal, psycopg.Error, OSError):
                    async with self._store.connection(self._tenant) as connection:
                        found = await messages.waiting_senders(connection, self._tenant)
                    for sender in found:
                        if sender not in self._lines:
                            self.wake(sender)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            await self._end()

    async def _end(self) -> None:
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in self._lines.values():
            for futures in line.waiting.values():
                for future in futures:
                    future.cancel()
        self._lines.clear()

    def _line(self, sender: str) -> _Line:
        line = self._lines.get(sender)
        if line is None:
            line = self._lines[sender] = _Line()
            line.task = asyncio.create_task(self._drain(sender, line))
        line.again = True
        return line

    async def _drain(self, sender: str, line: _Line) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            if not line.urgent:
                await self._give_way(line)
            line.again = False
            progress = await self._next(sender)
            match progress:
                case Done(id_, told):
                    line.resolve(id_, told)
                    pause = _SHORTEST_PAUSE
                    continue
                case Later(seconds):
                    await asyncio.sleep(seconds)
                    continue
            if line.waiting:
                await self._look_up(line)
            if isinstance(progress, Nothing) and not line.waiting and not line.again:
                # Nothing is awaited between the look and this, so no wish is lost.
                del self._lines[sender]
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _give_way(self, line: _Line) -> None:
        """Let messages that stream in be stored first, for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _GIVE_WAY
        while not line.urgent and loop.time() < end:
            left = self._last_arrival + _STREAMING - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(left)

    async def _next(self, sender: str) -> Progress:
        try:
            async with self._bound:
                return await self._carry(sender)
        except (Refusal, psycopg.Error, OSError) as error:
            log.warning("messages of %s wait: %s", sender, error)
        except Exception:
            log.exception("a message of %s could not be carried out", sender)
        return Later(_AFTER_FAILURE)

    async def _look_up(self, line: _Line) -> None:
        """Ask what became of messages that another worker carried out."""
        with suppress(Refusal, psycopg.Error, OSError):
            async with self._store.connection(self._tenant) as connection:
                told = await messages.told(connection, self._tenant, list(line.waiting))
            for id_, each in told.items():
                line.resolve(id_, each)
