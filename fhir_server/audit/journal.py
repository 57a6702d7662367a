"""Files that keep events until they are in the database: one for each process and tenant.

A line is in the file before what it tells of is answered, so it outlives this process and any
absence of the database; it is on the disk a moment later. The file is written as memory that is
mapped from it, which outlives the process as well and takes no call of the system; its room is
reserved before. Each process holds a lock on its own files, by which others know those that a dead
process has left.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

SUFFIX = ".journal"
_BEING_MADE = ".new"
# Reserved at once. Room that is not written has zeros, which no line has.
_ROOM = 1024 * 1024
_EMPTY = b"\0"


class JournalFull(OSError):
    """Nothing more can be written."""


class Journal:
    """One file of lines. Raises `JournalFull` when it cannot be made."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.name = path.stem
        self._file = file
        self._room = os.fstat(file).st_size
        self.size = self._written()
        self._map: mmap.mmap | None = None
        self._flushed = self.size

    @classmethod
    def new(cls, folder: Path) -> "Journal":
        """An empty one, which is this process's until it ends."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / f"{uuid4().hex}{SUFFIX}"
            making = path.with_suffix(_BEING_MADE)
            file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only now others see it, and see that it is taken.
            making.rename(path)
        except OSError as error:
            raise JournalFull(str(error)) from error
        return cls(path, file)

    @classmethod
    def left(cls, folder: Path) -> Iterator["Journal"]:
        """Those that no process holds any more, each held by this one from now on."""
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                file = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                yield cls(path, file)

    def append(self, line: str) -> None:
        """Write a line. Raises `JournalFull`, and nothing of it is written."""
        data = f"{line}\n".encode()
        end = self.size + len(data)
        if self._map is None or end > self._room:
            self._map = self._reserved(end)
        self._map[self.size : end] = data
        self.size = end

    @property
    def dirty(self) -> bool:
        """Whether something of it may not be on the disk."""
        return self._flushed < self.size

    def flush(self) -> None:
        """Have all of it on the disk. Raises `OSError`."""
        size = self.size
        os.fdatasync(self._file)
        self._flushed = size

    def lines(self, position: int, most: int) -> tuple[list[bytes], int]:
        """Lines from a position on, about `most` bytes, and where the next one begins.

        What a broken disk left of a last line comes too, if the file has nothing after it.
        """
        data = os.pread(self._file, min(most, self.size - position), position)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == most:
            return self.lines(position, most * 2)
        if not end:
            end = len(data)
        return [each for each in data[:end].split(b"\n") if each], position + end

    def close(self, *, remove: bool = False) -> None:
        """Give it up; `remove` it if all of it is in the database."""
        if remove:
            self.path.unlink(missing_ok=True)
        if self._map is not None:
            self._map.close()
        os.close(self._file)

    def _reserved(self, end: int) -> mmap.mmap:
        """The file with room up to an end, and more. Raises `JournalFull`."""
        try:
            if end > self._room:
                os.posix_fallocate(self._file, self._room, end + _ROOM - self._room)
                self._room = end + _ROOM
            old, self._map = self._map, None
            if old is not None:
                old.close()
            return mmap.mmap(self._file, self._room)
        except OSError as error:
            raise JournalFull(str(error)) from error

    def _written(self) -> int:
        """Up to where the file has lines."""
        end = self._room
        while end:
            start = max(0, end - _ROOM)
            found = len(os.pread(self._file, end - start, start).rstrip(_EMPTY))
            if found:
                return start + found
            end = start
        return 0
