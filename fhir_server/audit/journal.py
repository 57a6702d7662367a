"""Files that keep events until they are in the database: one for each process and tenant.

A line is in the file before what it tells of is answered, so it outlives this process and any
absence of the database; it is on the disk a moment later. Each process holds a lock on its own
files, by which others know those that a dead process has left.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

SUFFIX = ".journal"
_BEING_MADE = ".new"


class JournalFull(OSError):
    """Nothing more can be written."""


class Journal:
    """One file of lines. Raises `JournalFull` when it cannot be made."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.name = path.stem
        self.size = os.fstat(file).st_size
        self._file = file
        self._flushed = self.size

    @classmethod
    def new(cls, folder: Path) -> "Journal":
        """An empty one, which is this process's until it ends."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / f"{uuid4().hex}{SUFFIX}"
            making = path.with_suffix(_BEING_MADE)
            file = os.open(making, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
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
                file = os.open(path, os.O_RDWR | os.O_APPEND)
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
        try:
            written = os.write(self._file, data)
            if written == len(data):
                self.size += written
                return
            os.ftruncate(self._file, self.size)
        except OSError as error:
            raise JournalFull(str(error)) from error
        raise JournalFull("the disk is full")

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
        data = os.pread(self._file, most, position)
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
        os.close(self._file)
