"""Files of an upload on disk: nothing of them stays in memory, and none is larger than allowed."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fhir_server.outcome import Issue, Refusal
from fhir_server.uploads.settings import UploadSettings

_LONGEST_NAME = 200
_PREFIX = "fhir-upload-"


def too_large(text: str) -> Refusal:
    """A limit is passed: 413."""
    issue = Issue("too-long", text)
    return Refusal(issue, status=413, headers={"Connection": "close"})


class Unusable(Exception):
    """A file that is not taken; `code` says why in a word, the text in a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class SpooledFile:
    """A file as it came.

    name: as the client calls it; shown, and never a path here. md5: of its bytes.
    refused: why it is not even looked at.
    """

    name: str
    path: Path
    size: int = 0
    md5: str = ""
    refused: Unusable | None = None


@dataclass(slots=True)
class Spool:
    """The files of one upload, in a folder that goes with it.

    The folder is locked for as long as its process lives, which is how others know it is needed.
    """

    settings: UploadSettings
    folder: Path = field(init=False)
    files: list[SpooledFile] = field(default_factory=list)
    total: int = 0
    _made: int = 0
    _lock: int = field(init=False)
    _writing: "list[Writing]" = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.settings.folder is not None:
            self.settings.folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=self.settings.folder))
        self._lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Seen by `remove_abandoned` from now on, when it is locked.
        self.folder = made.rename(made.with_name(made.name[1:]))

    def remove(self) -> None:
        """Delete everything."""
        for each in self._writing:
            each.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def new_path(self) -> Path:
        """Where another file may be written."""
        self._made += 1
        return self.folder / str(self._made)

    def new(self, name: str) -> "Writing":
        """Begin a file. Raises a 413 `Refusal` for one too many."""
        if len(self.files) >= self.settings.files:
            raise too_large(f"More than {self.settings.files} files; send them in several uploads")
        found = SpooledFile(shown_name(name), self.new_path())
        self.files.append(found)
        writing = Writing(self, found)
        self._writing.append(writing)
        return writing

    def written(self, writing: "Writing") -> None:
        """A file is whole."""
        self._writing.remove(writing)

    def drop(self, file: SpooledFile) -> None:
        """Forget a file that others came of."""
        self.files.remove(file)
        self.total -= file.size
        file.path.unlink()


def remove_abandoned(parent: Path | None) -> None:
    """Delete the images that processes left which were killed during an upload.

    parent: where uploads lie; None for where the system keeps what is temporary.
    """
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)


def shown_name(name: str) -> str:
    """The last part of a file's name, without what terminals and logs take for commands."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each if each.isprintable() else "?" for each in last)[:_LONGEST_NAME] or "file"


class Writing:
    """A file that is being written."""

    def __init__(self, spool: Spool, file: SpooledFile) -> None:
        self.file = file
        self._spool = spool
        self._output: BinaryIO = file.path.open("wb")
        self._digest = hashlib.md5(usedforsecurity=False)

    def write(self, data: bytes | memoryview) -> None:
        """Add to the file. Raises a 413 `Refusal` where a limit is passed."""
        settings = self._spool.settings
        self.file.size += len(data)
        self._spool.total += len(data)
        if self._spool.total > settings.total_bytes:
            raise too_large(f"The files are larger than {settings.total_bytes} bytes together")
        if self.file.size > settings.file_bytes:
            text = f"larger than the {settings.file_bytes} bytes that a file may have"
            # What follows is counted, and not kept.
            self.file.refused = self.file.refused or Unusable("too-large", text)
            return
        self._digest.update(data)
        self._output.write(data)

    def end(self) -> None:
        """The file is whole."""
        self.close()
        self._spool.written(self)
        self.file.md5 = self._digest.hexdigest()

    def close(self) -> None:
        """Write no more."""
        self._output.close()
