"""Zip files, opened here and not by the archive, which passes over what it cannot read."""

import stat
import zipfile
import zlib

from fhir_server.uploads.spool import Spool, SpooledFile, Unusable, shown_name, too_large

_MAGIC = b"PK\x03\x04"
_EMPTY = b"PK\x05\x06"
_PIECE = 1024 * 1024
# Images seldom shrink to a tenth; what shrinks to a hundredth is meant to fill disks.
_MOST_RATIO = 100
_SMALL = 1024 * 1024


def is_zip(file: SpooledFile) -> bool:
    """Whether a file begins as zip files do."""
    with file.path.open("rb") as content:
        return content.read(4) in (_MAGIC, _EMPTY)


def open_zips(spool: Spool) -> None:
    """Put what is in zip files in their place; a file that cannot be taken says why.

    Raises a 413 `Refusal` where it is more than an upload may bring.
    """
    for file in list(spool.files):
        if file.refused is None and is_zip(file):
            _open(spool, file)


def _open(spool: Spool, file: SpooledFile) -> None:
    try:
        with zipfile.ZipFile(file.path) as archive:
            entries = [each for each in archive.infolist() if not each.is_dir()]
            if len(spool.files) - 1 + len(entries) > spool.settings.files:
                text = f"{len(entries)} files in a zip; an upload may have {spool.settings.files}"
                raise too_large(text)
            for entry in entries:
                _extract(spool, archive, entry, file.name)
    except zipfile.BadZipFile:
        file.refused = Unusable("not-readable", "begins as a zip file and cannot be read as one")
        return
    spool.drop(file)


def _extract(spool: Spool, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, within: str) -> None:
    writing = spool.new(entry.filename)
    found = writing.file
    found.name = f"{within}/{shown_name(entry.filename)}"
    found.refused = _wrong(entry, spool.settings.file_bytes)
    try:
        if found.refused is None:
            with archive.open(entry) as content:
                while not found.refused and (piece := content.read(_PIECE)):
                    writing.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError):
        found.refused = Unusable("not-readable", "is damaged inside the zip file")
    finally:
        writing.end()
    if not found.refused and is_zip(found):
        found.refused = Unusable("nested", "is a zip file inside a zip file")


def _wrong(entry: zipfile.ZipInfo, most: int) -> Unusable | None:
    """What speaks against an entry before it is read."""
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or ":" in name:
        return Unusable("path", "has a name that leads out of the zip file")
    if stat.S_ISLNK(entry.external_attr >> 16):
        return Unusable("link", "is a link")
    if entry.flag_bits & 1:
        return Unusable("encrypted", "is encrypted")
    if entry.file_size > most:
        return Unusable("too-large", f"larger than the {most} bytes that a file may have")
    ratio = entry.file_size / max(entry.compress_size, 1)
    if entry.file_size > _SMALL and ratio > _MOST_RATIO:
        return Unusable("zip-bomb", f"grows {ratio:.0f} times; at most {_MOST_RATIO} is allowed")
    return None
