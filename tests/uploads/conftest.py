"""A server with a real Orthanc, to which files are uploaded."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.dicom.local import LocalOrthanc
from tests.dicom.conftest import orthanc, start_orthanc
from tests.dicom.hospital import Hospital, served

__all__ = ["orthanc", "start_orthanc"]

SMALL = {
    "upload_file_bytes": 3_000_000,
    "upload_files": 120,
    "upload_bytes": 8_000_000,
    "time_zone": "Europe/Berlin",
}


@pytest.fixture(scope="module")
async def hospital(
    database: str, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hospital]:
    """A hospital whose uploads are bounded tightly."""
    folder = tmp_path_factory.mktemp("uploads")
    spooled: Path = tmp_path_factory.mktemp("spool")
    async with served(database, orthanc, **SMALL, upload_dir=spooled) as client:
        yield Hospital(client, orthanc, folder)
    assert os.listdir(spooled) == [], "files of uploads stay on disk"


@pytest.fixture(scope="module")
def client(hospital: Hospital) -> httpx.AsyncClient:
    """The client of the hospital."""
    return hospital.client
