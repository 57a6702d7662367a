"""Reads a FHIR package, a `.tgz` of JSON files, in memory and within limits."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fhir_server.fhir_json import decode
from fhir_server.outcome import Invalid, Issue
from fhir_server.packages.manifest import Manifest, manifest

_MANIFEST = "package/package.json"
_INDEX = ".index.json"
_BROKEN = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a package may need: the sizes in bytes are those unpacked."""

    files: int = 50_000
    file_size: int = 100_000_000
    size: int = 500_000_000


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was read.

    resources: what it defines, the conformance resources. examples: resources that show how it
    is used.
    """

    manifest: Manifest
    resources: tuple[dict[str, Any], ...]
    examples: tuple[dict[str, Any], ...]


def read(file: IO[bytes], limits: Limits | None = None) -> Package:
    """Read a package.

    Raises Invalid for what is no package, is not for R4, or goes beyond the limits. Nothing is
    written to disk, and names, links and devices in the archive mean nothing.
    """
    described: Manifest | None = None
    resources: list[dict[str, Any]] = []
    examples: list[dict[str, Any]] = []
    try:
        for name, content in _files(file, limits or Limits()):
            if name == _MANIFEST:
                described = manifest(content)
                continue
            folder, _, base = name.rpartition("/")
            if folder not in ("package", "package/example") or base in ("package.json", _INDEX):
                continue
            resource = _resource(name, content)
            if resource is not None:
                (resources if folder == "package" else examples).append(resource)
    except _BROKEN as error:
        raise Invalid(Issue("invalid", f"Expected a .tgz of a FHIR package: {error}")) from None
    if described is None:
        raise Invalid(Issue("required", f"There is no {_MANIFEST}: this is no FHIR package."))
    return Package(described, tuple(resources), tuple(examples))


def read_path(path: Path) -> Package:
    """Read the package of a file. Raises Invalid, naming the file, as `read` does."""
    try:
        with path.open("rb") as file:
            return read(file)
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}."
        raise Invalid(Issue("exception", what)) from None
    except Invalid as error:
        raise Invalid(Issue("invalid", f"{path}: {error}")) from None


def _files(file: IO[bytes], limits: Limits) -> Iterator[tuple[str, bytes]]:
    """The JSON files of an archive, each with its name."""
    with gzip.GzipFile(fileobj=file) as unpacked:
        counted = _Counted(unpacked, limits.size)
        with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]
            for count, member in enumerate(archive):
                if count >= limits.files:
                    raise _too_much(f"more than {limits.files} files")
                name = member.name.removeprefix("./")
                if not member.isreg() or not name.endswith(".json"):
                    continue
                if member.size > limits.file_size:
                    raise _too_much(f"a file of {member.size} bytes, {name[:100]}")
                content = archive.extractfile(member)
                if content is not None:
                    yield name, content.read()


class _Counted:
    """What is unpacked, up to a limit."""

    def __init__(self, unpacked: gzip.GzipFile, left: int) -> None:
        self._unpacked = unpacked
        self._left = left

    def read(self, size: int) -> bytes:
        """Some more of it. Raises Invalid when it is too much."""
        found = self._unpacked.read(size)
        self._left -= len(found)
        if self._left < 0:
            raise _too_much("too much data when unpacked")
        return found


def _too_much(what: str) -> Invalid:
    return Invalid(Issue("too-costly", f"The package has {what}."))


def _resource(name: str, content: bytes) -> dict[str, Any] | None:
    try:
        resource = decode(content)
    except Invalid as error:
        raise Invalid(Issue("invalid", f"{name[:200]} cannot be read: {error}")) from None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return None
    return resource
