"""Messages carried out one after the other, by sender, in whichever worker is free."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from fhir_server.context import system_clock
from fhir_server.hl7v2.message import Message
from fhir_server.outcome import Refusal
from fhir_server.storage import messages
from fhir_server.storage.messages import Held, Told
from fhir_server.storage.store import Store

log = logging.getLogger(__name__)

# How often to look for messages whose worker is gone.
_LOOK_EVERY = 1.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
_AFTER_FAILURE = 1.0
# While messages stream in, one that nobody waits for is carried out so often, of all senders, and
# more seldom where that takes long: a sender that is answered late sends late.
_TURN_EVERY = 0.1
_LONGEST_TURN = 2.0
_SHARE = 10
_STREAMING = 0.05
# Messages that came just now are at hand in the worker they came to.
_NEWLY = timedelta(seconds=2)
# So many messages of a sender are kept in memory until they are carried out; others are looked up.
_MOST_HANDED = 4
_LARGEST_HANDED = 64 * 1024


@dataclass(frozen=True, slots=True)
class Handed:
    """A message that was stored just now, as it was read."""

    held: Held
    message: Message


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
# Carries out a message if it is the oldest of its sender that waits.
Carry = Callable[[Held, Message | None], Awaitable[Progress]]


@dataclass(slots=True)
class _Line:
    """The messages of one sender that this worker knows to wait.

    again: whether something came since it was last looked. urgent: senders that wait for their
    answer and send nothing before. handed: messages at hand, by id. behind: whether others may
    wait that are older than those.
    """

    task: asyncio.Task[None] | None = None
    again: bool = True
    urgent: int = 0
    waiting: dict[int, list[asyncio.Future[Told]]] = field(default_factory=dict)
    handed: dict[int, Handed] = field(default_factory=dict)
    behind: bool = False
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def hand(self, handed: Handed | None) -> None:
        few = len(self.handed) < _MOST_HANDED
        small = handed is not None and len(handed.held.content) <= _LARGEST_HANDED
        if handed is not None and few and small and not self.behind:
            self.handed[handed.held.id] = handed
        else:
            self.fall_behind()

    def fall_behind(self) -> None:
        """An older message than those at hand may wait: they are looked up, the oldest first."""
        self.behind = True
        self.handed.clear()

    def calm(self) -> None:
        self.urgent -= 1
        if not self.urgent:
            self.hurry.clear()

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
        self._next_turn = 0.0
        self._turn = _TURN_EVERY

    def expect(
        self, sender: str, id_: int, *, urgent: bool, handed: Handed | None = None
    ) -> asyncio.Future[Told]:
        """What a stored message's sender will be told; it is carried out when its turn comes.

        urgent: whether the sender waits for that.
        """
        line = self._line(sender)
        line.hand(handed)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Told] = loop.create_future()
        line.waiting.setdefault(id_, []).append(future)
        if urgent:
            line.urgent += 1
            line.hurry.set()
            future.add_done_callback(lambda _: line.calm())
        return future

    def arrived(self) -> None:
        """A message has come: what nobody waits for gives way to the next one."""
        self._last_arrival = asyncio.get_running_loop().time()

    def wake(self, sender: str, handed: Handed | None = None) -> None:
        """Carry out what waits of a sender."""
        self._line(sender).hand(handed)

    async def run(self) -> None:
        """Look for messages that nobody carries out, until cancelled."""
        try:
            while True:
                with suppress(Refusal, psycopg.Error, OSError):
                    async with self._store.connection(self._tenant) as connection:
                        before = system_clock() - _NEWLY
                        found = await messages.waiting_senders(connection, self._tenant, before)
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
            line.again = False
            progress = await self._next(sender, line)
            match progress:
                case Done(id_, told):
                    line.resolve(id_, told)
                    pause = _SHORTEST_PAUSE
                    continue
                case Later(seconds):
                    await asyncio.sleep(seconds)
                    continue
            if line.waiting:
                line.fall_behind()
                await self._look_up(line)
            if isinstance(progress, Nothing) and not line.waiting and not line.again:
                # Nothing is awaited between the look and this, so no wish is lost.
                del self._lines[sender]
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _give_way(self, line: _Line) -> None:
        """Let messages that stream in be stored first; those that are not urgent take turns."""
        loop = asyncio.get_running_loop()
        turn = self._next_turn = max(self._next_turn, loop.time()) + self._turn
        while not line.urgent and (now := loop.time()) < turn:
            left = self._last_arrival + _STREAMING - now
            if left <= 0:
                self._next_turn = now
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, turn - now)):
                    await line.hurry.wait()

    async def _next(self, sender: str, line: _Line) -> Progress:
        """Carry out the oldest message of a sender that waits."""
        try:
            if not line.behind:
                return await self._next_at_hand(line)
            async with self._bound, self._store.connection(self._tenant) as connection:
                seal = self._store.statements(self._tenant).seal
                found = await messages.peek(connection, self._tenant, sender, seal)
            if found is None:
                line.behind = False
                return Nothing()
            held, latest = found
            if not line.urgent:
                self._came(latest)
                await self._give_way(line)
            return await self._carried(held, None)
        except (Refusal, psycopg.Error, OSError) as error:
            log.warning("messages of %s wait: %s", sender, error)
        except Exception:
            log.exception("a message of %s could not be carried out", sender)
        line.fall_behind()
        return Later(_AFTER_FAILURE)

    async def _next_at_hand(self, line: _Line) -> Progress:
        """Carry out a message that came just now."""
        if line.handed and not line.urgent:
            await self._give_way(line)
        if not line.handed:
            return Later(0) if line.behind else Nothing()
        handed = line.handed.pop(min(line.handed))
        progress = await self._carried(handed.held, handed.message)
        if not isinstance(progress, Done):
            line.fall_behind()
        return progress

    async def _carried(self, held: Held, message: Message | None) -> Progress:
        loop = asyncio.get_running_loop()
        async with self._bound:
            begun = loop.time()
            progress = await self._carry(held, message)
        wanted = _SHARE * (loop.time() - begun)
        self._turn = min(max(wanted, _TURN_EVERY), _LONGEST_TURN)
        return progress

    def _came(self, latest: datetime) -> None:
        """A message has come to some worker at a time: all of them give way to the next ones."""
        age = max((system_clock() - latest).total_seconds(), 0.0)
        then = asyncio.get_running_loop().time() - age
        self._last_arrival = max(self._last_arrival, then)

    async def _look_up(self, line: _Line) -> None:
        """Ask what became of messages that another worker carried out."""
        with suppress(Refusal, psycopg.Error, OSError):
            async with self._store.connection(self._tenant) as connection:
                told = await messages.told(connection, self._tenant, list(line.waiting))
            for id_, each in told.items():
                line.resolve(id_, each)
