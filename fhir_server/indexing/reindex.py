"""The job that reads stored resources again and replaces what they are found by.

In the end every resource has the entries that a write with the newest parameters would give it:
writers that had not seen those have ended before the first resource is read, a resource that was
written since is left as it is, and entries made with parameters that were replaced meanwhile are
made again before they are stored.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec

from fhir_server.background.work import Work
from fhir_server.fhir_json import decode
from fhir_server.indexing.indexes import Indexes
from fhir_server.indexing.pause import Pause
from fhir_server.indexing.progress import Progress, progress_of
from fhir_server.outcome import Invalid
from fhir_server.search.entries import IndexEntries
from fhir_server.search.index import SearchIndex
from fhir_server.spec import definitions
from fhir_server.storage import index_state, reindex, resources
from fhir_server.storage.horizon import older_transactions_end
from fhir_server.storage.index_state import READY, IndexState
from fhir_server.storage.reindex import Row
from fhir_server.storage.seal import CannotOpen, Seal, opened
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

# Resources of a batch: they are locked together for the time it takes to store their entries.
BATCH = 50

# Seconds after which every worker has heard that a definition is gone, even one that missed the
# notification. Only then are entries removed by which it still answered.
GRACE = 3.0

_TURN_SECONDS = 0.004


class _Stale(Exception):
    """The parameters changed while a batch was being read."""


class Reindexing:
    """The handler of jobs of the kind `reindex`.

    batch: resources at a time. grace: see `GRACE`.
    """

    def __init__(self, indexes: Indexes, *, batch: int = BATCH, grace: float = GRACE) -> None:
        self._indexes = indexes
        self._batch = batch
        self._grace = grace

    async def __call__(self, work: Work) -> None:
        """Do everything that is to be done now, going on where a former attempt stopped."""
        async with work.store.connection(work.tenant) as connection:
            index = await self._indexes.reload(connection, work.tenant)
            progress = progress_of(work.job.payload)
            if progress is None:
                progress = await self._begin(work, connection)
        if progress is None:
            return
        while progress.types:
            async with work.store.connection(work.tenant) as connection:
                try:
                    progress = await self._read(work, connection, index, progress)
                except _Stale:
                    index = await self._indexes.reload(connection, work.tenant)
            await asyncio.sleep(0)
        async with work.store.connection(work.tenant) as connection, connection.transaction():
            await index_state.finish(connection, work.tenant, progress.generation, progress.target)
            await work.finish(connection)
        log.info(
            "the search index is complete",
            extra={"resources": progress.done, "failed": progress.failed},
        )

    async def _begin(self, work: Work, connection: Connection) -> Progress | None:
        """What is to be read, once nobody writes without knowing of it; None for nothing."""
        state = await index_state.load(connection, work.tenant)
        if state.settled:
            return None
        pause = Pause(work, connection)
        await older_transactions_end(connection, pause)
        if any(item.redefined and item.state != READY for item in state.parameters):
            await pause.until(time.monotonic() + self._grace)
        upgrading = state.format < state.target
        types = _types(state)
        found = await reindex.extent(connection, work.tenant, types, containers=not upgrading)
        progress = Progress(
            state.generation,
            state.target if upgrading else None,
            tuple(type_ for type_ in types if found.counts.get(type_)),
            sum(found.counts.values()),
            found.end,
        )
        await work.checkpoint(connection, msgspec.to_builtins(progress))
        return progress

    async def _read(
        self, work: Work, connection: Connection, index: SearchIndex, progress: Progress
    ) -> Progress:
        """Read the next resources of a type again. Raises `_Stale` with nothing stored."""
        type_ = progress.types[0]
        rows = await reindex.following(
            connection,
            work.tenant,
            type_,
            progress.after,
            progress.end,
            self._batch,
            # If all resources are read, each is read as what it is itself.
            containers=progress.target is None,
        )
        statements = work.store.statements(work.tenant)
        entries = await _extract(index, rows, statements.seal)
        texts = {text for _, values in entries for text in values.texts}
        await work.store.learn(connection, work.tenant, sorted(texts))
        last = len(rows) < self._batch
        progress = msgspec.structs.replace(
            progress,
            types=progress.types[1:] if last else progress.types,
            after=0 if last else rows[-1].rid,
            done=progress.done + len(rows),
            failed=progress.failed + len(rows) - len(entries),
        )
        async with connection.transaction():
            if await resources.pinned_generation(connection, statements) != index.generation:
                raise _Stale
            await reindex.replace_entries(connection, work.tenant, entries)
            await work.checkpoint(connection, msgspec.to_builtins(progress))
        return progress


def _types(state: IndexState) -> list[str]:
    if state.format < state.target:
        return sorted(definitions().resource_types)
    return sorted(
        {type_ for item in state.parameters if item.state != READY for type_ in item.types}
    )


async def _extract(
    index: SearchIndex, rows: Sequence[Row], seal: Seal | None
) -> list[tuple[Row, IndexEntries]]:
    """The entries of each resource, giving others their turn in between."""
    found = []
    turn = time.perf_counter()
    for row in rows:
        try:
            content = opened(seal, row.type, row.id, row.content.encode()) or b""
            found.append((row, index.extractor.extract(decode(content))))
        except (CannotOpen, Invalid):
            log.warning("a stored resource cannot be indexed", extra={"rid": row.rid})
        if time.perf_counter() - turn > _TURN_SECONDS:
            await asyncio.sleep(0)
            turn = time.perf_counter()
    return found
