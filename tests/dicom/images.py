"""Images made for tests, and the programs by which devices send them."""

import subprocess
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, slots=True)
class Scan:
    """A study as a device makes it. more: further tags by keyword, on every instance."""

    accession: str = ""
    patient: str = "P1"
    issuer: str = ""
    study: str = field(default_factory=lambda: str(generate_uid()))
    modality: str = "CT"
    name: str = "Doe^Jane"
    more: dict[str, Any] = field(default_factory=dict)

    def with_(self, **more: Any) -> "Scan":
        """The same study with other tags."""
        return replace(self, more=self.more | more)


def instance(scan: Scan, series: str, number: int, **more: Any) -> Dataset:
    """One image of a study."""
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID = CT_IMAGE
    found.SOPInstanceUID = generate_uid()
    found.StudyInstanceUID = scan.study
    found.SeriesInstanceUID = series
    found.StudyID = "1"
    found.StudyDate, found.StudyTime = "20261121", "083000"
    found.Modality = scan.modality
    found.SeriesNumber, found.InstanceNumber = 1, number
    found.AccessionNumber = scan.accession
    found.PatientID, found.PatientName = scan.patient, scan.name
    found.PatientBirthDate, found.PatientSex = "19700101", "F"
    if scan.issuer:
        found.IssuerOfPatientID = scan.issuer
    _add_pixels(found)
    for name, value in (scan.more | more).items():
        setattr(found, name, value)
    return found


@contextmanager
def odd_values() -> Iterator[None]:
    """A test may want a value that pydicom warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add_pixels(found: Dataset) -> None:
    found.Rows, found.Columns, found.SamplesPerPixel = 8, 8, 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit = 8, 8, 7
    found.PixelRepresentation = 0
    found.PixelData = bytes(range(64))


def series(scan: Scan, count: int = 1, **more: Any) -> list[Dataset]:
    """A new series of a study."""
    uid = str(generate_uid())
    with odd_values():
        return [instance(scan, uid, number, **more) for number in range(1, count + 1)]


def issued_by(issuer: str) -> Items:
    """The sequence that names who gave an accession number."""
    item = Dataset()
    item.LocalNamespaceEntityID = issuer
    return Items([item])


def requested(accessions: Iterable[str]) -> Items:
    """The sequence that names the orders an instance was made for."""
    items = []
    for each in accessions:
        item = Dataset()
        item.AccessionNumber = each
        items.append(item)
    return Items(items)


def write(folder: Path, instances: Iterable[Dataset]) -> list[Path]:
    """The files of some instances."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for each in instances:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = each.SOPClassUID
        meta.MediaStorageSOPInstanceUID = each.SOPInstanceUID
        each.file_meta = meta
        path = folder / f"{each.SOPInstanceUID}.dcm"
        with odd_values():
            dcmwrite(path, each, enforce_file_format=True)
        paths.append(path)
    return paths


def storescu(port: int, paths: Sequence[Path], *, title: str = "ORTHANC") -> None:
    """Send files as a device does."""
    command = ["storescu", "-aet", "TESTSCU", "-aec", title, "127.0.0.1", str(port)]
    subprocess.run(
        [*command, *map(str, paths)],
        env={"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"},
        check=True,
        timeout=60,
    )
