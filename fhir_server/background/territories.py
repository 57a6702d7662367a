"""Which tenants this process serves: those that the database has now."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence

import psycopg

from fhir_server.outcome import Refusal
from fhir_server.storage import tenants
from fhir_server.storage.listen import Listener
from fhir_server.storage.store import Store

log = logging.getLogger(__name__)

# Should a notification be missed, nobody is behind for longer.
_LOOK_EVERY = 10.0
_FIRST_WITHIN = 5.0

Tenants = Callable[[], Sequence[str]]


class Territories:
    """The tenants by name; called, it says which there are.

    indexes: the tenants of which this process knows what it needs to answer.
    Whoever does something for every tenant asks again each time: tenants come and go.
    """

    def __init__(self, store: Store, listener: Listener, indexes: Container[str] = ()) -> None:
        self._store = store
        self._indexes = indexes
        self._listener = listener
        self._wake = listener.on(tenants.CHANNEL)
        self._names: tuple[str, ...] = ()
        self._left: list[Callable[[str], Awaitable[None]]] = []

    def __call__(self) -> Sequence[str]:
        """Those that are served now."""
        return self._names

    async def health(self) -> Mapping[str, str | int]:
        """How many there are, and how many of them wait to be read; not which, for nobody asks."""
        if len(self._names) == 1:
            return {}
        waiting = sum(name not in self._indexes for name in self._names)
        return {"territories": len(self._names), "territories-waiting": waiting}

    def when_left(self, forget: Callable[[str], Awaitable[None]]) -> None:
        """Have something done with the name of each tenant that is not served any more."""
        self._left.append(forget)

    async def start(self) -> None:
        """Find out for the first time, unless the database lets us wait."""
        try:
            async with asyncio.timeout(_FIRST_WITHIN):
                await self._look()
        except TimeoutError:
            log.warning("the database does not answer yet")

    async def run(self) -> None:
        """Follow what is added and dropped, until cancelled."""
        while True:
            await self._wake.wait(_LOOK_EVERY if self._names else 1.0)
            await self._look()

    async def _look(self) -> None:
        try:
            async with self._store.server() as connection:
                found = tuple(await tenants.served(connection))
        except (Refusal, psycopg.Error, OSError) as error:
            log.warning("the tenants cannot be read: %s", type(error).__name__)
            return
        left = [name for name in self._names if name not in found]
        self._names = found
        self._listener.follow(found)
        for name in left:
            log.info("the tenant %s is not served any more", name)
            for forget in self._left:
                await forget(name)
