"""A running server with a real Orthanc that has a few studies, some without an ImagingStudy."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import httpx
import pydicom
import pytest

from fhir_server.dicom.local import LocalOrthanc
from tests.conftest import RunningServer, free_port, running_server
from tests.dicom.conftest import orthanc, start_orthanc
from tests.dicom.images import Scan, series
from tests.uploads.sending import content

__all__ = ["orthanc", "start_orthanc"]

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A server as viewers see it.

    client: without a base URL of FHIR. scan: a study of 5 images. page: the origin of a page in a
    browser that may use it. log: what the server logs.
    """

    root: str
    client: httpx.Client
    orthanc: LocalOrthanc
    scan: Scan
    page: str
    log: Path

    @property
    def base(self) -> str:
        """Of DICOMweb."""
        return f"{self.root}/dicom-web"

    def shipped(self, name: str) -> str:
        """The path of a file that pydicom ships, which the archive has."""
        found = pydicom.dcmread(SHIPPED / name, stop_before_pixels=True)
        return (
            f"/dicom-web/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
            f"/instances/{found.SOPInstanceUID}"
        )


SENT = (
    "CT_small.dcm", "examples_ybr_color.dcm", "JPEG2000.dcm", "rtdose.dcm", "reportsi.dcm",
    "waveform_ecg.dcm",
)  # fmt: skip


@pytest.fixture(scope="module")
def viewer(
    database: str, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Viewer]:
    """The server and its studies, once they stand in FHIR."""
    folder = tmp_path_factory.mktemp("viewer")
    scan = Scan("ACC-7", "P7", name="Łąka^Ján")
    fill(orthanc, [(SHIPPED / name).read_bytes() for name in SENT])
    fill(orthanc, map(content, [*series(scan, 3), *series(scan, 2)]))
    page = f"http://127.0.0.1:{free_port()}"
    with (
        archiving(database, orthanc, folder, "--cors-origins", page) as server,
        httpx.Client(base_url=server.root, timeout=60, trust_env=False) as client,
    ):
        wait_for_studies(client, len(SENT) + 1)
        yield Viewer(server.root, client, orthanc, scan, page, server.log)


def fill(orthanc: LocalOrthanc, files: Iterable[bytes]) -> None:
    """Put files into an archive."""
    auth = (orthanc.settings.user, orthanc.settings.password)
    with httpx.Client(base_url=orthanc.url, auth=auth, trust_env=False) as archive:
        for data in files:
            assert archive.post("/instances", content=data).status_code == 200


@contextmanager
def archiving(
    database: str, orthanc: LocalOrthanc, folder: Path, *more: str, host: str = "127.0.0.1"
) -> Iterator[RunningServer]:
    """A server with an archive. more: options. host: the machine's name, as clients call it."""
    port = free_port()
    options = [
        "--base-url", f"http://{host}:{port}/fhir",
        "--database-url", database, "--workers", "1", "--orthanc-url", orthanc.url,
        "--orthanc-user", orthanc.settings.user,
        "--orthanc-poll", "0.2", "--orthanc-compare", "1",
        "--audit", "on", "--audit-dir", str(folder / "audit"), *more,
    ]  # fmt: skip
    secret = {"FHIR_SERVER_ORTHANC_PASSWORD": orthanc.settings.password}
    with patch.dict(os.environ, secret), running_server(folder, *options, port=port) as server:
        yield server


def wait_for_studies(client: httpx.Client, count: int) -> None:
    """Return once so many studies have images."""
    for _ in range(300):
        answer = client.get("/fhir/ImagingStudy?status=available&_summary=count")
        if answer.status_code == 200 and answer.json()["total"] >= count:
            return
        time.sleep(0.1)
    raise AssertionError("the studies did not come")
