"""Remembers what a server has stored, so that a broken load goes on where it stopped.

A file of JSON lines that is only ever appended to. A file to load is known by its checksum, not by
its name. What stands here is checked against the server before it is believed, since the server's
data may have been thrown away meanwhile (see `Part.location`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec


@dataclass(slots=True)
class PartRecord:
    """What became of one request: begun at `since` (server time), answered when `stored`."""

    since: str | None = None
    stored: bool = False
    failed: frozenset[int] = frozenset()


@dataclass(slots=True)
class FileRecord:
    """What became of one file; `location` is a version the server made from it."""

    complete: bool = False
    location: str | None = None
    parts: dict[int, PartRecord] = field(default_factory=dict)


class _Line(msgspec.Struct, omit_defaults=True):
    server: str
    file: str
    event: str
    part: int = -1
    since: str | None = None
    failed: list[int] = []
    location: str | None = None


class Journal:
    """The records of one server. With `path` None nothing is remembered."""

    def __init__(self, path: Path | None, server: str):
        self._server = server
        self._files: dict[str, FileRecord] = {}
        self._output = None
        if path is not None:
            if path.exists():
                for line in _lines(path):
                    if line.server == server:
                        self._apply(line)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._output = path.open("ab", buffering=0)

    def of(self, file: str) -> FileRecord:
        """What is known of the file with this checksum."""
        return self._files.get(file) or FileRecord()

    def sending(self, file: str, part: int, since: str) -> None:
        """To be called before a request that must not be repeated blindly."""
        self._write(_Line(self._server, file, "sending", part, since=since))

    def stored(self, file: str, part: int, failed: list[int], location: str | None) -> None:
        """The request was answered; the entries at the positions `failed` were refused."""
        self._write(_Line(self._server, file, "stored", part, failed=failed, location=location))

    def not_stored(self, file: str, part: int) -> None:
        """The request is known to have changed nothing."""
        self._write(_Line(self._server, file, "not stored", part))

    def complete(self, file: str) -> None:
        """Every part of the file is stored."""
        self._write(_Line(self._server, file, "complete"))

    def forget(self, file: str) -> None:
        """The server does not hold any more what it once stored from this file."""
        self._write(_Line(self._server, file, "forget"))

    def close(self) -> None:
        """Ends writing."""
        if self._output is not None:
            self._output.close()

    def _write(self, line: _Line) -> None:
        self._apply(line)
        if self._output is not None:
            self._output.write(msgspec.json.encode(line) + b"\n")

    def _apply(self, line: _Line) -> None:
        if line.event == "forget":
            self._files.pop(line.file, None)
            return
        record = self._files.setdefault(line.file, FileRecord())
        if line.event == "complete":
            record.complete = True
        elif line.event == "sending":
            record.parts[line.part] = PartRecord(since=line.since)
        elif line.event == "stored":
            record.parts[line.part] = PartRecord(stored=True, failed=frozenset(line.failed))
            record.location = record.location or line.location
        elif line.event == "not stored":
            record.parts.pop(line.part, None)


def _lines(path: Path) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    for line in path.read_bytes().splitlines():
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError:
            continue  # a line cut short by the end of its process tells nothing
