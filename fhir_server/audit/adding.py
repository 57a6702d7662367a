"""From journals and changes into the chain of a tenant's trail, by one process at a time."""

import asyncio
import logging
import time
from collections import defaultdict

from fhir_server.audit.chain import BEGINNING, Link, chained, signature
from fhir_server.audit.journal import Journal
from fhir_server.audit.keys import Remembered
from fhir_server.audit.lines import damaged, is_row
from fhir_server.storage import audit
from fhir_server.storage.audit import Damaged
from fhir_server.storage.store import Connection, Store

log = logging.getLogger(__name__)

# So much at a time, so that requests of the process get their turn.
_BYTES = 256 * 1024
_CHANGES = 1000
# Between two signed ends of the chain, if it grows.
CHECKPOINT_SECONDS = 60.0


class Adding:
    """Adds to the chains of all tenants."""

    def __init__(self, store: Store, remembered: Remembered) -> None:
        self._store = store
        self._remembered = remembered
        self._turn: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._signed: dict[str, float] = {}

    async def add(self, tenant: str, journal: Journal | None) -> bool:
        """Add what changes and a journal have left; True when nothing is."""
        async with self._turn[tenant]:
            end = 0 if journal is None else journal.size
            while True:
                try:
                    more = await self._some(tenant, journal, end, careful=False)
                except Damaged:
                    more = await self._some(tenant, journal, end, careful=True)
                if not more:
                    return journal is None or journal.size == end

    async def finish(self, tenant: str, journal: Journal) -> None:
        """Add the rest of a journal that nobody writes any more, and remove it."""
        done = False
        try:
            done = await self.add(tenant, journal)
        finally:
            journal.close(remove=done)
        async with self._store.connection(tenant) as connection:
            await audit.forget(connection, tenant, journal.name)

    async def _some(self, tenant: str, journal: Journal | None, end: int, *, careful: bool) -> bool:
        """Add a part; whether there may be more.

        careful: looks at each line, because some of them are no rows.
        """
        async with self._store.transaction(tenant) as connection:
            await audit.lock(connection, tenant)
            last = await audit.last(connection, tenant)
            link = Link(last[0], bytes(last[1])) if last else Link(0, BEGINNING)
            lines, more = await _left(connection, tenant, journal, end)
            if not lines:
                return False
            if careful:
                lines = [each if is_row(each) else damaged(each) for each in lines]
            rows, link = chained(link, lines)
            await audit.add(connection, tenant, rows)
            await self._sign(connection, tenant, link)
        self._remembered.remember(tenant, link)
        return more

    async def _sign(self, connection: Connection, tenant: str, link: Link) -> None:
        now = time.monotonic()
        if now - self._signed.get(tenant, -CHECKPOINT_SECONDS) < CHECKPOINT_SECONDS:
            return
        self._signed[tenant] = now
        mac = signature(self._remembered.key(), link)
        name = self._remembered.key_name
        at = time.time_ns() // 1000
        await audit.checkpoint(connection, tenant, (link.seq, link.hash), at, name, mac)
        log.info(
            "audit checkpoint",
            extra={
                "tenant": tenant,
                "seq": link.seq,
                "hash": link.hash.hex(),
                "key": name,
                "mac": mac.hex(),
            },
        )


async def _left(
    connection: Connection, tenant: str, journal: Journal | None, end: int
) -> tuple[list[bytes], bool]:
    """The next lines of changes and of a journal, and whether there are more.

    They count as added when the caller commits.
    """
    changes = await audit.take_changes(connection, tenant, _CHANGES)
    lines = [each.encode() for each in changes]
    more = len(changes) == _CHANGES
    if journal is not None:
        position = await audit.position(connection, tenant, journal.name)
        if position < end:
            read, position = journal.lines(position, _BYTES)
            await audit.set_position(connection, tenant, journal.name, position)
            lines += read
        more = more or position < end
    return lines, more
