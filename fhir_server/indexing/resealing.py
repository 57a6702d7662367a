"""The job that seals anew what is stored: other elements than before, or by another key.

In the end every version is sealed as a write would do it now, and found as the newest parameters
say: writers that had not heard of the change have ended before the first version is read, and a
version that was written since is left as it is.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from fhir_server.background.work import Work
from fhir_server.fhir_json import decode
from fhir_server.indexing.indexes import Indexes
from fhir_server.indexing.pause import Pause
from fhir_server.indexing.progress import Resealing
from fhir_server.outcome import Invalid
from fhir_server.sealing.tenants import changes, settled
from fhir_server.search import keys as search_keys
from fhir_server.search.index import SearchIndex
from fhir_server.storage import index_state, keys, reindex, resealing, resources
from fhir_server.storage.horizon import older_transactions_end
from fhir_server.storage.keys import CHANGING, SealState
from fhir_server.storage.reindex import Row
from fhir_server.storage.resealing import CURRENT, Key, Old, Written
from fhir_server.storage.resources import Values, deleted_values
from fhir_server.storage.seal import CannotOpen, Seal
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

# Versions of a batch: they are locked together for the time it takes to store them.
BATCH = 50

# Seconds after which every worker has heard of a change, even one that missed the notification: a
# version it writes with other elements is refused when it is stored, but by the key before it is
# not, nor is a message.
GRACE = 2.0

_TURN_SECONDS = 0.004


class _Stale(Exception):
    """Something was changed again while a batch was being read."""


class Resealer:
    """The handler of jobs of the kind `reseal`. batch: versions at a time. grace: see `GRACE`."""

    def __init__(self, indexes: Indexes, *, batch: int = BATCH, grace: float = GRACE) -> None:
        self._indexes = indexes
        self._batch = batch
        self._grace = grace

    async def __call__(self, work: Work) -> None:
        """Do everything that is to be done now, going on where a former attempt stopped."""
        progress = msgspec.convert(work.job.payload, Resealing)
        while True:
            async with work.store.connection(work.tenant) as connection:
                state = (await index_state.load(connection, work.tenant)).sealing
                if settled(state):
                    return
                index = await self._indexes.reload(connection, work.tenant)
                begun = progress.generation, progress.key
                if begun != (state.generation, state.latest) or not progress.ends:
                    progress = await self._begin(work, connection)
                    continue
                try:
                    following = await self._next(work, connection, state, index, progress)
                except _Stale:
                    continue
                if following is not None:
                    progress = following
                elif await _finish(work, connection, index, state, progress):
                    return
            await asyncio.sleep(0)

    async def _next(
        self,
        work: Work,
        connection: Connection,
        state: SealState,
        index: SearchIndex,
        progress: Resealing,
    ) -> Resealing | None:
        """Go over what comes next; None if that is all. Raises `_Stale` with nothing stored."""
        if progress.after is not None:
            return await self._resources(work, connection, state, index, progress)
        if progress.before is not None:
            return await self._history(work, connection, state, progress, progress.before)
        for table in resealing.MESSAGES:
            following = await self._messages(work, connection, table, progress)
            if following is not None:
                return following
        return None

    async def _begin(self, work: Work, connection: Connection) -> Resealing:
        """What is to be done, once everybody writes by the newest elements and keys."""
        pause = Pause(work, connection)
        state = (await index_state.load(connection, work.tenant)).sealing
        while state.current != state.latest:
            await pause()
            state = (await index_state.load(connection, work.tenant)).sealing
        await pause.until(time.monotonic() + self._grace)
        await self._indexes.reload(connection, work.tenant)
        await older_transactions_end(connection, pause)
        total, ends = await resealing.extent(connection, work.tenant)
        progress = Resealing(state.generation, state.latest, total=total, ends=ends)
        await work.checkpoint(connection, msgspec.to_builtins(progress))
        return progress

    async def _resources(
        self,
        work: Work,
        connection: Connection,
        state: SealState,
        index: SearchIndex,
        progress: Resealing,
    ) -> Resealing:
        """Go over the next current versions. Raises `_Stale` with nothing stored."""
        types = sorted(changes(state).elements)
        last, looked, rows = await resealing.resources(
            connection,
            work.tenant,
            types,
            progress.after or 0,
            progress.ends[CURRENT],
            self._batch,
        )
        seal = _seal(work)
        written, failed = await _sealed_anew(seal, rows)
        entries: list[tuple[Row, Values]] = []
        if state.state == CHANGING:
            entries = await _entries(index, seal, [row for row in rows if row not in failed])
        texts = {text for _, values in entries for text in values.texts}
        await work.store.learn(connection, work.tenant, sorted(texts))
        progress = msgspec.structs.replace(
            progress,
            after=last,
            done=progress.done + looked,
            failed=progress.failed + len(failed),
        )
        statements = work.store.statements(work.tenant)
        async with connection.transaction():
            if await resources.pinned_generation(connection, statements) != index.generation:
                raise _Stale
            await resealing.store_resources(connection, work.tenant, written)
            if entries:
                await reindex.replace_entries(connection, work.tenant, entries)
            await work.checkpoint(connection, msgspec.to_builtins(progress))
        return progress

    async def _history(
        self,
        work: Work,
        connection: Connection,
        state: SealState,
        progress: Resealing,
        before: Key,
    ) -> Resealing:
        """Go over the superseded versions next to those that are done."""
        types = sorted(changes(state).elements)
        last, looked, rows = await resealing.history(
            connection, work.tenant, types, before, self._batch
        )
        written, failed = await _sealed_anew(_seal(work), rows)
        progress = msgspec.structs.replace(
            progress,
            before=last,
            done=progress.done + looked,
            failed=progress.failed + len(failed),
        )
        async with connection.transaction():
            await resealing.store_history(connection, work.tenant, written)
            await work.checkpoint(connection, msgspec.to_builtins(progress))
        return progress

    async def _messages(
        self, work: Work, connection: Connection, table: str, progress: Resealing
    ) -> Resealing | None:
        """Go over the next messages of a table; None if there are no more."""
        after = progress.messages.get(table, 0)
        end = progress.ends[table]
        rows = await resealing.messages(connection, work.tenant, table, after, end, self._batch)
        if not rows:
            return None
        seal, written, failed = _seal(work), [], 0
        for row in rows:
            try:
                content = seal.seal_message(row.place, seal.open_message(row.place, row.content))
            except CannotOpen:
                failed += 1
                continue
            if content != row.content:
                written.append(row._replace(content=content))
        progress = msgspec.structs.replace(
            progress,
            messages=progress.messages | {table: rows[-1].id},
            done=progress.done + len(rows),
            failed=progress.failed + failed,
        )
        async with connection.transaction():
            await resealing.store_messages(connection, work.tenant, table, written)
            await work.checkpoint(connection, msgspec.to_builtins(progress))
        return progress


async def _finish(
    work: Work, connection: Connection, index: SearchIndex, state: SealState, progress: Resealing
) -> bool:
    """Note that all is done, unless something changed again."""
    now = datetime.now(UTC)
    async with connection.transaction():
        await index_state.lock(connection, work.tenant)
        if not await keys.settle(connection, work.tenant, state.generation, progress.key, now):
            return False
        await keys.forget_texts(connection, work.tenant, _texts_of(index))
        await index_state.tell(connection, work.tenant)
        await work.finish(connection)
    log.info(
        "what is stored is encrypted as it should be",
        extra={"versions": progress.done, "failed": progress.failed},
    )
    return True


def _texts_of(index: SearchIndex) -> list[int]:
    """The kinds of texts that the vocabulary must not have any more."""
    return [
        search_keys.hash64(search_keys.parameter_name(type_, each.code, search_keys.TEXT))
        for type_ in index.parameters.types
        for each in index.parameters.of(type_)
        if each.keyed is not None
    ]


def _seal(work: Work) -> Seal:
    seal = work.store.statements(work.tenant).seal
    assert seal is not None, "there is no such job without keys"
    return seal


async def _sealed_anew(
    seal: Seal, rows: Iterable[Row | Old]
) -> tuple[list[Written], list[Row | Old]]:
    """What is to be stored in the place of some versions, and those that cannot be opened."""
    written, failed = [], []
    turn = time.perf_counter()
    for row in rows:
        try:
            stored = row.content.encode()
            content = seal.seal(row.type, row.id, seal.open(row.type, row.id, stored))
            if content != stored:
                written.append(Written(row, content))
        except CannotOpen:
            failed.append(row)
        if time.perf_counter() - turn > _TURN_SECONDS:
            await asyncio.sleep(0)
            turn = time.perf_counter()
    return written, failed


async def _entries(index: SearchIndex, seal: Seal, rows: Sequence[Row]) -> list[tuple[Row, Values]]:
    """The entries of resources; none for one that cannot be indexed, lest old ones stay."""
    found: list[tuple[Row, Values]] = []
    turn = time.perf_counter()
    for row in rows:
        content = seal.open(row.type, row.id, row.content.encode())
        try:
            found.append((row, index.extractor.extract(decode(content))))
        except Invalid:
            log.warning("a stored resource cannot be indexed", extra={"rid": row.rid})
            found.append((row, deleted_values()))
        if time.perf_counter() - turn > _TURN_SECONDS:
            await asyncio.sleep(0)
            turn = time.perf_counter()
    return found
