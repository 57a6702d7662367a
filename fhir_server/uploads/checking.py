"""Is a file DICOM, whole, and fit for an archive (PS3.10 7, PS3.5 A.4).

pydicom reads much that is broken, and an archive keeps some of it; so the rules are here. A file is
looked at as a whole, without holding its pixels in memory.
"""

import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import get_expected_length
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from fhir_server.dicom.uids import is_uid
from fhir_server.uploads.spool import Unusable

# Its warnings quote values, such as names of patients.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
config.settings.reading_validation_mode = config.IGNORE

_PREFIX_AT, _PREFIX = 128, b"DICM"
_DEFERRED = 4096
_UNDEFINED = 0xFFFFFFFF
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_PIXEL_DATA = 0x7FE00010
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_MOST_INFLATED = 1024 * 1024 * 1024
_PIECE = 1024 * 1024
_LONGEST_ACCESSION = 16
# Of the element that tells how long the group 0002 is.
_META_LENGTH = 12
_BEGINNING = 2048


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that may go to the archive. tags: texts by keyword, for the record."""

    sop_class: str
    instance: str
    study: str
    series: str
    transfer_syntax: str
    tags: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


SHOWN = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyDescription", "StudyDate", "Modality",
)  # fmt: skip


def check(path: Path) -> CheckedFile:
    """Look at a file. Raises `Unusable`."""
    with path.open("rb") as content:
        _check_prefix(content)
        found = read_header(path)
        if found.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            raise Unusable("directory", "is the directory of a medium (DICOMDIR), not an object")
        syntax = _transfer_syntax(found)
        uids = [_uid(found, keyword) for keyword in _UIDS]
        deflated = syntax == DeflatedExplicitVRLittleEndian
        _check_elements(found, None if deflated else path.stat().st_size)
        _check_pixels(found, content, deflated=deflated)
    sop_class, instance, study, series = uids
    return CheckedFile(
        sop_class, instance, study, series, syntax,
        {name: text for name in SHOWN if (text := str(found.get(name) or "").strip())},
        tuple(_warnings(found)),
    )  # fmt: skip


def read_header(path: Path) -> FileDataset:
    """A file without its large values, which stay on disk. Raises `Unusable`."""
    try:
        _check_inflated(path)
        return dcmread(path, defer_size=_DEFERRED)
    except InvalidDicomError:
        raise Unusable("not-dicom", "has no DICOM prefix") from None
    except Unusable:
        raise
    except Exception as error:
        # Whatever pydicom trips over, the file is not readable as DICOM.
        raise _unreadable(error) from None


def _check_prefix(content: BinaryIO) -> None:
    start = content.read(_PREFIX_AT + len(_PREFIX))
    if start[_PREFIX_AT:] != _PREFIX:
        text = "is no DICOM file: expected DICM after 128 bytes"
        raise Unusable("not-dicom", text if start else "is empty")


def _check_inflated(path: Path) -> None:
    """Raises `Unusable` for a deflated file that would fill the memory."""
    with path.open("rb") as content:
        # Most are not, and the transfer syntax stands among the first elements.
        if DeflatedExplicitVRLittleEndian.encode() not in content.read(_BEGINNING):
            return
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    start = _PREFIX_AT + len(_PREFIX) + _META_LENGTH + int(meta.FileMetaInformationGroupLength)
    inflating, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as content:
        content.seek(start)
        while piece := content.read(_PIECE):
            while piece and not inflating.eof:
                size += len(inflating.decompress(piece, _PIECE))
                piece = inflating.unconsumed_tail
                if size > _MOST_INFLATED:
                    raise Unusable("too-large", "becomes too large when it is inflated")
    if not inflating.eof:
        raise Unusable("truncated", "ends too soon: its deflated data are not complete")


def _transfer_syntax(found: FileDataset) -> str:
    syntax = found.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise Unusable("no-transfer-syntax", "has no TransferSyntaxUID (0002,0010)")
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise Unusable("transfer-syntax", "has a TransferSyntaxUID (0002,0010) that is not known")
    return str(syntax)


def _uid(found: Dataset, keyword: str) -> str:
    try:
        text = str(found.get(keyword) or "").strip()
    except Exception as error:
        raise _unreadable(error) from None
    if not text:
        raise Unusable("missing-uid", f"has no {keyword}")
    if not is_uid(text):
        raise Unusable("invalid-uid", f"has a {keyword} that is no UID")
    return text


def _check_elements(found: Dataset, size: int | None) -> None:
    """Decode every element; those that stay on disk must be there."""
    # Not by get_item(), which reads what was left on disk.
    for tag, item in list(found.items()):
        try:
            if isinstance(item, RawDataElement):
                if size is not None and _end(item) > size:
                    raise Unusable("truncated", f"ends too soon: within {item.tag}")
                if item.value is None and item.length:
                    continue
            if int(tag) not in _PIXELS:
                _decode(found[tag].value)
        except Unusable:
            raise
        except Exception as error:
            raise _unreadable(error, str(tag)) from None


def _end(item: RawDataElement) -> int:
    return item.value_tell + (0 if item.length == _UNDEFINED else item.length)


def _decode(value: object) -> None:
    if isinstance(value, Sequence):
        for item in value:
            for element in item:
                _decode(element.value)


def _check_pixels(found: FileDataset, content: BinaryIO, *, deflated: bool) -> None:
    if _PIXEL_DATA not in found:
        return
    item = dict(found.items())[BaseTag(_PIXEL_DATA)]
    length = item.length if isinstance(item, RawDataElement) else len(found.PixelData or b"")
    try:
        if not found.file_meta.TransferSyntaxUID.is_encapsulated:
            expected = get_expected_length(found)
            if length != _UNDEFINED and length < expected:
                text = f"has {length} bytes of pixel data; expected {expected}"
                raise Unusable("truncated", text)
        elif not deflated and isinstance(item, RawDataElement):
            _check_frames(found, content, item.value_tell)
    except Unusable:
        raise
    except Exception as error:
        raise _unreadable(error, "PixelData") from None


def _check_frames(found: Dataset, content: BinaryIO, start: int) -> None:
    frames = int(found.get("NumberOfFrames") or 1)
    content.seek(start)
    offsets = parse_basic_offsets(content)
    fragments, _ = parse_fragments(content)
    having = len(offsets) if len(offsets) > 1 else fragments
    if fragments < 1 or having < frames:
        raise Unusable("truncated", f"has {having} frames; expected {frames}")


def _warnings(found: FileDataset) -> Iterator[str]:
    stored = str(found.file_meta.get("MediaStorageSOPInstanceUID") or "")
    if stored != str(found.SOPInstanceUID):
        yield "MediaStorageSOPInstanceUID (0002,0003) is not the SOPInstanceUID (0008,0018)"
    accession = str(found.get("AccessionNumber") or "")
    if len(accession) > _LONGEST_ACCESSION:
        yield f"AccessionNumber has {len(accession)} characters; DICOM allows 16"


def _unreadable(error: Exception, where: str = "") -> Unusable:
    place = f" at {where}" if where else ""
    return Unusable("not-readable", f"cannot be read as DICOM{place} ({type(error).__name__})")
