"""Hearing at once what other processes say: LISTEN on a connection kept for it."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

import psycopg
from psycopg import AsyncConnection, sql

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 5.0


class Wake:
    """Wakes one task; what comes while it is awake wakes it again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the task."""
        self._event.set()

    async def wait(self, within: float) -> None:
        """Return when woken, or after some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._event.wait()
        self._event.clear()


class Listener:
    """Wakes tasks of this process when a channel is notified.

    Everybody is woken after the connection was lost too, since something may have been missed.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._wakes: dict[str, list[Wake]] = {}

    def on(self, *channels: str) -> Wake:
        """What is woken by any of some channels; to be asked for before `run`."""
        wake = Wake()
        for channel in channels:
            self._wakes.setdefault(channel, []).append(wake)
        return wake

    async def run(self) -> None:
        """Listen until cancelled."""
        pause = 0.1
        while True:
            try:
                await self._listen()
                pause = 0.1
            except (psycopg.Error, OSError):
                log.info("not listening to the database: it does not answer")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        connection = await AsyncConnection.connect(
            self._database_url, autocommit=True, application_name="fhir-server listening"
        )
        async with connection:
            for channel in self._wakes:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            for wakes in self._wakes.values():
                _wake(wakes)
            async for notice in connection.notifies():
                _wake(self._wakes.get(notice.channel, ()))


def _wake(wakes: Iterable[Wake]) -> None:
    for wake in wakes:
        wake.set()
