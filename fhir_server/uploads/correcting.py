"""Tags of a file corrected, beside a body that stays as it is, byte for byte."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian

from fhir_server.uploads.spool import Unusable
from fhir_server.workflow.numbers import SHORT_STRING
from fhir_server.worklist.entries import patient_identifier
from fhir_server.worklist.forms import date, person, text

Json = dict[str, Any]

_UTF8 = "ISO_IR 192"
_SEX = {"male": "M", "female": "F", "other": "O"}
# What says which object a file is; another value would make another object of it.
FIXED = frozenset(
    {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PixelData"}
)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to become of a file's tags.

    values: by keyword; empty texts empty a tag. without_private: remove private tags.
    """

    values: Mapping[str, str]
    without_private: bool = False

    def __bool__(self) -> bool:
        return bool(self.values) or self.without_private


@dataclass(frozen=True, slots=True)
class Corrected:
    """What changed: by keyword the text before and after."""

    changes: Mapping[str, tuple[str, str]]
    private_removed: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes) or self.private_removed > 0


def to_order(order: Json, patient: Json, accession: str, zone: ZoneInfo) -> dict[str, str]:
    """The values that make a file one of an order (DCM-2)."""
    identifier = patient_identifier(patient) or {}
    description = order.get("code", {}).get("text") or next(
        (each["display"] for each in order.get("code", {}).get("coding", ()) if "display" in each),
        "",
    )
    found = {
        "PatientID": text(identifier.get("value") or patient["id"], "LO"),
        "IssuerOfPatientID": text(identifier.get("system", ""), "LO"),
        "PatientName": person(patient.get("name", ())),
        "PatientBirthDate": date(patient.get("birthDate", ""), zone),
        "PatientSex": _SEX.get(patient.get("gender", ""), ""),
        "AccessionNumber": accession if len(accession) <= SHORT_STRING else "",
    }
    return found | ({"StudyDescription": text(description, "LO")} if description else {})


def correct(source: Path, target: Path, correction: Correction) -> Corrected:
    """Write a corrected copy. Raises `Unusable` for what cannot be written so.

    Only what comes before the pixels is written anew; they and what follows are copied.
    """
    try:
        with source.open("rb") as content:
            found = dcmread(content, stop_before_pixels=True)
            if found.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
                # There is one stream of all of it, which cannot be copied in part.
                content.seek(0)
                found = dcmread(content)
            corrected = _apply(found, correction)
            with target.open("wb") as output:
                dcmwrite(output, found, enforce_file_format=True)
                if found.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
                    shutil.copyfileobj(content, output, 1024 * 1024)
    except Exception as error:
        raise Unusable(
            "not-writable", f"cannot be written with other tags ({type(error).__name__})"
        ) from None
    return corrected


def _apply(found: FileDataset, correction: Correction) -> Corrected:
    changes = {}
    for keyword, value in correction.values.items():
        before = str(found.get(keyword) or "")
        if before.strip() != value:
            changes[keyword] = (before, value)
    if not all(value.isascii() for _, value in changes.values()):
        # Read by the character set they came in, and then written by one that has all letters.
        found.decode()
        found.SpecificCharacterSet = _UTF8
    for keyword, (_, value) in changes.items():
        setattr(found, keyword, value)
    removed = 0
    if correction.without_private:
        removed = _count_private(found)
        found.remove_private_tags()
    return Corrected(changes, removed)


def _count_private(found: Dataset) -> int:
    return sum(element.tag.is_private for element in found.iterall())
