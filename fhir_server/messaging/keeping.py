"""Storing what comes in: messages that come at once are stored by one statement."""

import asyncio
from collections.abc import Sequence

import psycopg

from fhir_server.outcome import Refusal
from fhir_server.storage import messages
from fhir_server.storage.messages import Arrival, Stored
from fhir_server.storage.store import Store

# Statements under way at once; what comes meanwhile waits for the next one and shares it.
_WRITERS = 2
_MOST_TOGETHER = 64
_MOST_BYTES = 1024 * 1024

# A message, whether it must be safe at once, and what became of it.
_Waiting = tuple[Arrival, bool, "asyncio.Future[Stored]"]


class Keeping:
    """What stores the messages of one process."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._writing = 0
        self._waiting: list[_Waiting] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def keep(self, arrival: Arrival, *, lasting: bool) -> Stored:
        """Store a message. Raises `Refusal` and psycopg.Error.

        lasting: whether it must be safe when this returns; else what commits later makes it so.
        """
        if self._writing >= _WRITERS:
            future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
            self._waiting.append((arrival, lasting, future))
            return await future
        self._writing += 1
        try:
            return (await self._write([arrival], lasting))[0]
        finally:
            self._writing -= 1
            if self._waiting:
                self._writing += 1
                task = asyncio.create_task(self._write_waiting())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                some = self._next()
                try:
                    arrivals = [arrival for arrival, _, _ in some]
                    stored = await self._write(arrivals, any(each for _, each, _ in some))
                except (Refusal, psycopg.Error) as error:
                    await self._write_apart(some, error)
                    continue
                for (_, _, future), each in zip(some, stored, strict=True):
                    if not future.done():
                        future.set_result(each)
        finally:
            self._writing -= 1

    def _next(self) -> list[_Waiting]:
        """The messages of the next statement."""
        count = size = 0
        for arrival, _, _ in self._waiting[:_MOST_TOGETHER]:
            size += len(arrival.content)
            if count and size > _MOST_BYTES:
                break
            count += 1
        some, self._waiting = self._waiting[:count], self._waiting[count:]
        return some

    async def _write_apart(self, some: Sequence[_Waiting], error: Exception) -> None:
        """What cannot be stored together is stored apart, so that one does not stop the others."""
        for arrival, lasting, future in some:
            if future.done():
                continue
            if len(some) == 1:
                future.set_exception(error)
                continue
            try:
                future.set_result((await self._write([arrival], lasting))[0])
            except (Refusal, psycopg.Error) as failure:
                future.set_exception(failure)

    async def _write(self, arrivals: Sequence[Arrival], lasting: bool) -> list[Stored]:
        async with self._store.connection(self._tenant) as connection:
            seal = self._store.statements(self._tenant).seal
            return await messages.store(
                connection, self._tenant, arrivals, seal=seal, lasting=lasting
            )
