"""Which files to load, in which order, and how to read them."""

import bz2
import gzip
import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

_PACKED = (".bz2", ".gz")
_CONTENT = (".json", ".ndjson")
_STAGE = re.compile(r"(\d{1,3})-")
_REFERRED_TO = ("hospitalinformation", "practitionerinformation")


class NothingToLoad(Exception):
    """A path that does not exist, or a folder without a file of FHIR resources."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one member of a zip; `size` is what it takes on disk."""

    path: Path
    member: str | None
    size: int
    named: bool

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def is_ndjson(self) -> bool:
        """Whether it holds one resource a line."""
        return _content_name(self.member or self.path.name).endswith(".ndjson")

    @property
    def stage(self) -> tuple[int, int]:
        """What must be stored before what: files of one stage may be loaded at once."""
        name = Path(self.member or self.path.name).name.lower()
        prefix = _STAGE.match(name)
        rest = name[prefix.end() :] if prefix else name
        referred_to = next((i for i, n in enumerate(_REFERRED_TO) if rest.startswith(n)), 2)
        if prefix:
            return int(prefix[1]), referred_to
        return (1000, 2) if referred_to == 2 else (0, referred_to)

    @contextmanager
    def open(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The unpacked content, and the file below it, whose position tells the progress."""
        with ExitStack() as stack:
            below: IO[bytes] = stack.enter_context(self.path.open("rb"))
            if self.member is not None:
                archive = stack.enter_context(zipfile.ZipFile(below))
                below = stack.enter_context(archive.open(self.member))
            name = self.member or self.path.name
            yield stack.enter_context(_unpacked(name, below)), below

    def checksum(self) -> str:
        """Of the content as it lies on disk, so that a moved or touched file stays the same."""
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(self.member)
                return f"crc32:{info.CRC:08x}:{info.file_size}"
        with self.path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def find(paths: Iterable[Path]) -> list[list[Source]]:
    """The files under the paths, in stages: each has to be stored before the next starts.

    Raises NothingToLoad.
    """
    stages: dict[tuple[int, int], list[Source]] = {}
    for path in paths:
        sources = sorted(_under(path), key=lambda source: source.label)
        if not sources:
            raise NothingToLoad(f"{path} holds no .json or .ndjson file (also .bz2, .gz, .zip)")
        for source in sources:
            stages.setdefault(source.stage, []).append(source)
    return [stages[key] for key in sorted(stages)]


def _under(path: Path) -> Iterator[Source]:
    if path.is_dir():
        for below in path.rglob("*"):
            if below.is_file() and not _hidden(below.relative_to(path)) and _loadable(below.name):
                yield from _in_file(below, named=False)
    elif path.exists():
        yield from _in_file(path, named=True)
    else:
        raise NothingToLoad(f"{path} does not exist")


def _in_file(path: Path, named: bool) -> Iterator[Source]:
    if path.suffix.lower() != ".zip":
        yield Source(path, None, path.stat().st_size, named)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise NothingToLoad(f"{path} is not a zip file: {error}") from error
    for info in members:
        name = Path(info.filename)
        if not info.is_dir() and not _hidden(name) and _content_name(name.name):
            yield Source(path, info.filename, info.compress_size, named=False)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _loadable(name: str) -> bool:
    return name.lower().endswith(".zip") or bool(_content_name(name))


def _content_name(name: str) -> str:
    """The name without .bz2 or .gz when what is left holds resources, else nothing."""
    name = name.lower()
    if name.endswith(_PACKED):
        name = name.rpartition(".")[0]
    return name if name.endswith(_CONTENT) else ""


def _unpacked(name: str, file: IO[bytes]) -> IO[bytes]:
    if name.lower().endswith(".bz2"):
        return bz2.BZ2File(file)
    if name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    return file
