"""Hearing at once what other processes say: LISTEN on a connection kept for it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import psycopg
from psycopg import sql

from fhir_server.storage.connecting import Connection, connected

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 5.0
_TENANTS_SEEN_WITHIN = 0.5


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
        self._of_tenants: list[tuple[Callable[[str], str], Wake]] = []
        self._tenants: tuple[str, ...] = ()

    def on(self, *channels: str) -> Wake:
        """What is woken by any of some channels; to be asked for before `run`."""
        wake = Wake()
        for channel in channels:
            self._wakes.setdefault(channel, []).append(wake)
        return wake

    def on_tenants(self, channel: Callable[[str], str]) -> Wake:
        """What is woken by the channel that each tenant has; to be asked for before `run`."""
        wake = Wake()
        self._of_tenants.append((channel, wake))
        return wake

    def follow(self, tenants: Iterable[str]) -> None:
        """Say which tenants there are now."""
        self._tenants = tuple(tenants)

    def _channels(self) -> dict[str, list[Wake]]:
        found = {channel: list(wakes) for channel, wakes in self._wakes.items()}
        for channel, wake in self._of_tenants:
            for tenant in self._tenants:
                found.setdefault(channel(tenant), []).append(wake)
        return found

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
        name = "fhir-server listening"
        connection = await connected(self._database_url, application_name=name)
        async with connection:
            while True:
                tenants, channels = self._tenants, self._channels()
                await _hear(connection, channels)
                while tenants == self._tenants:
                    async for notice in connection.notifies(timeout=_TENANTS_SEEN_WITHIN):
                        _wake(channels.get(notice.channel, ()))


async def _hear(connection: Connection, channels: Mapping[str, Iterable[Wake]]) -> None:
    """Listen to some channels and no others; their tasks look at what was said until then."""
    await connection.execute("unlisten *")
    for channel in channels:
        await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
    for wakes in channels.values():
        _wake(wakes)


def _wake(wakes: Iterable[Wake]) -> None:
    for wake in wakes:
        wake.set()
