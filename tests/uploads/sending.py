"""Uploads as clients make them, and files made for them."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.dicom.images import Scan, odd_values, series

Parts = dict[str, Any]
URL = "http://test/dicom/uploads"


def content(found: Dataset) -> bytes:
    """A dataset as the bytes of a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = found.SOPClassUID
    meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.file_meta = meta
    output = io.BytesIO()
    with odd_values():
        dcmwrite(output, found, enforce_file_format=True)
    return output.getvalue()


def files(count: int = 1, scan: Scan | None = None, **more: Any) -> list[bytes]:
    """Files of one new series."""
    return [content(each) for each in series(scan or Scan(), count, **more)]


def md5(data: bytes) -> str:
    """As the archive has it."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


async def upload(
    client: httpx.AsyncClient, sent: Mapping[str, bytes] | Iterable[bytes], **query: str
) -> httpx.Response:
    """Send files as a form."""
    if not isinstance(sent, Mapping):
        sent = {f"IM{number}": each for number, each in enumerate(sent, 1)}
    form = [("file", (name, data, "application/dicom")) for name, data in sent.items()]
    headers = {each: value for each, value in client.headers.items() if each != "content-type"}
    request = httpx.Request("POST", URL, files=form, params=query, headers=headers)
    return await client.send(request)


def parts(answer: httpx.Response, status: int = 200) -> tuple[str, str, list[Parts]]:
    """Outcome, record and files of an answer; several values of a name as a list."""
    assert answer.status_code == status, answer.text
    given = answer.json()["parameter"]
    outcome = next(each["valueCode"] for each in given if each["name"] == "outcome")
    record = next(each["valueReference"]["reference"] for each in given if each["name"] == "record")
    return outcome, record, [_flat(each["part"]) for each in given if each["name"] == "file"]


def _flat(given: list[Parts]) -> Parts:
    found: Parts = {}
    for part in given:
        value = next(value for name, value in part.items() if name.startswith("value"))
        if part["name"] in ("corrected", "warning"):
            found.setdefault(part["name"], []).append(value)
        else:
            found[part["name"]] = value
    return found


def zipped(entries: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return output.getvalue()
