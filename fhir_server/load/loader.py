"""Loads stages of files: one reader, several senders, a bounded number of requests in memory."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from fhir_server.load import results
from fhir_server.load.journal import FileRecord, Journal, PartRecord
from fhir_server.load.parts import Part, Unloadable, cut
from fhir_server.load.progress import Progress
from fhir_server.load.sender import Denied, Sender, Uncertain, Unreachable
from fhir_server.load.sources import Source
from fhir_server.load.summary import Summary

_UNREADABLE = (Unloadable, OSError, EOFError, ValueError, RuntimeError)


@dataclass(slots=True)
class _File:
    """A file that is being loaded: complete when all is read and nothing waits or failed."""

    source: Source
    checksum: str
    waiting: int = 0
    all_read: bool = False
    failed: bool = False


@dataclass(slots=True)
class Loader:
    """Loads into one server; set `stop` to end after the requests on their way."""

    sender: Sender
    journal: Journal
    progress: Progress
    parallel: int
    summary: Summary = field(default_factory=Summary)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, stages: list[list[Source]]) -> Summary:
        """Store every file, as far as the server lets us."""
        try:
            for stage in stages:
                await self._load_stage(stage)
        except (Denied, Unreachable) as error:
            self.summary.fail("stopped", f"{error}. The same command goes on from here.")
        self.summary.interrupted = self.stop.is_set()
        return self.summary

    async def _load_stage(self, stage: list[Source]) -> None:
        queue: asyncio.Queue[tuple[_File, Part] | None] = asyncio.Queue(self.parallel)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self.parallel):
                    tasks.create_task(self._send_from(queue))
                for source in stage:
                    if self.stop.is_set():
                        break
                    await self._read(source, queue)
                for _ in range(self.parallel):
                    await queue.put(None)
        except* (Denied, Unreachable) as group:
            raise group.exceptions[0] from None

    async def _read(
        self, source: Source, queue: "asyncio.Queue[tuple[_File, Part] | None]"
    ) -> None:
        self.summary.files += 1
        file = _File(source, "")
        try:
            file.checksum = await asyncio.to_thread(source.checksum)
            record = await self._believable(file.checksum)
            if record.complete:
                self.summary.already_loaded += 1
                self.progress.advance(source.size, 0)
                return
            parts = cut(source)
            while not self.stop.is_set():
                part = await asyncio.to_thread(_next, parts)
                if part is None:
                    file.all_read = True
                    break
                await self._queue(file, part, record.parts.get(part.index), queue)
        except _UNREADABLE as error:
            self._unreadable(file, error)
        self._finish(file)

    async def _believable(self, checksum: str) -> FileRecord:
        """What the journal says, unless the server has lost it since."""
        record = self.journal.of(checksum)
        if record.location is None:
            return FileRecord(parts=record.parts)
        if await self.sender.has_version(record.location):
            return record
        self.journal.forget(checksum)
        return FileRecord()

    def _unreadable(self, file: _File, error: Exception) -> None:
        file.failed = True
        if isinstance(error, Unloadable) and not error.is_fhir and not file.source.named:
            self.summary.not_fhir.append(file.source.label)
        else:
            self.summary.fail(file.source.label, str(error) or type(error).__name__)

    async def _queue(
        self,
        file: _File,
        part: Part,
        record: PartRecord | None,
        queue: "asyncio.Queue[tuple[_File, Part] | None]",
    ) -> None:
        for position, reason in part.refused:
            file.failed = True
            self.summary.fail(file.source.label, reason, position)
        if record is not None and record.since and not part.repeatable:
            try:
                found = await self.sender.find(part, record.since)
            except Uncertain:
                self._uncertain(file, "an earlier load broke off while sending it")
                return
            record = PartRecord(stored=found is not None)
            if found:
                self.journal.stored(file.checksum, part.index, [], found.location)
        if record is not None and record.stored:
            if not record.failed:
                self.progress.advance(part.read, 0)
                return
            part = part.only(record.failed)
        file.waiting += 1
        await queue.put((file, part))

    async def _send_from(self, queue: "asyncio.Queue[tuple[_File, Part] | None]") -> None:
        while (item := await queue.get()) is not None:
            file, part = item
            if not self.stop.is_set():
                await self._send(file, part)
            else:
                file.failed = True
            file.waiting -= 1
            self._finish(file)

    async def _send(self, file: _File, part: Part) -> None:
        if not part.entries:
            self.progress.advance(part.read, 0)
            return
        if not part.repeatable:
            self.journal.sending(file.checksum, part.index, self.sender.since)
        try:
            answer = await self.sender.send(part)
        except Uncertain as error:
            self._uncertain(file, str(error))
            return
        failed = answer.failed
        if failed and part.atomic:
            self.journal.not_stored(file.checksum, part.index)
        else:
            self.journal.stored(file.checksum, part.index, failed, answer.location)
        file.failed = file.failed or bool(failed)
        shown = _once_for_all(answer) if part.atomic else answer.results
        self.summary.add(file.source.label, shown, single=bool(part.path) or part.atomic)
        self.progress.advance(part.read, len(answer.results) - len(failed))

    def _uncertain(self, file: _File, reason: str) -> None:
        file.failed = True
        self.summary.fail(
            file.source.label,
            f"{reason}. It is not sent again by itself, lest it be stored twice:"
            " look whether the server has it; --no-resume sends it",
        )

    def _finish(self, file: _File) -> None:
        if file.all_read and not file.waiting and not file.failed:
            self.journal.complete(file.checksum)


def _next(parts: Iterator[Part]) -> Part | None:
    return next(parts, None)


def _once_for_all(answer: results.Answer) -> tuple[results.Result, ...]:
    """A refused transaction has one reason, not one for each entry."""
    return answer.results[:1] if answer.failed else answer.results
