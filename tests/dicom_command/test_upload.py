"""`fhir-server dicom upload`: files, folders and zip files into a running server."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fhir_server.dicom_command import sending
from fhir_server.dicom_command.sending import batches
from tests.dicomweb.conftest import Viewer, orthanc, start_orthanc, viewer
from tests.uploads.sending import files, zipped

__all__ = ["orthanc", "start_orthanc", "viewer"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fhir_server.cli", "dicom", "upload", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_folder_is_sent_and_what_is_refused_is_told(viewer: Viewer, tmp_path: Path) -> None:
    inner = tmp_path / "DICOM" / "S1"
    inner.mkdir(parents=True)
    for number, data in enumerate(files(3)):
        (inner / f"IM{number}").write_bytes(data)
    (tmp_path / "more.zip").write_bytes(zipped({"IM9": files()[0]}))
    fhir = f"{viewer.root}/fhir"
    done = command(str(tmp_path), "--base-url", fhir, "--source", "cd-import", "--quiet")
    assert (done.returncode, done.stdout) == (0, "4 files are kept, 0 refused.\n"), done.stderr
    (tmp_path / "README").write_text("no image")
    done = command(str(tmp_path), "--base-url", fhir)
    assert done.returncode == 1
    assert done.stdout == "4 files are kept, 1 refused.\n"
    assert "README: is no DICOM file" in done.stderr
    found = httpx.get(f"{fhir}/AuditEvent?subtype=cd-import").json()
    assert len(found["entry"]) == 1


def test_a_wrong_order_or_server_is_said_in_one_line(viewer: Viewer, tmp_path: Path) -> None:
    path = tmp_path / "IM1"
    path.write_bytes(files()[0])
    fhir = f"{viewer.root}/fhir"
    done = command(str(path), "--base-url", fhir, "--order", "ServiceRequest/none", "--quiet")
    assert done.returncode == 1
    assert "ServiceRequest/none" in done.stderr
    done = command(str(path), "--base-url", "http://127.0.0.1:9/fhir", "--quiet")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    assert command(str(empty), "--base-url", fhir).returncode == 1


def test_batches_are_bounded_by_number_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / str(number) for number in range(120)]
    for path in paths:
        path.write_bytes(bytes(100))
    assert [len(each) for each in batches(paths)] == [50, 50, 20]
    monkeypatch.setattr(sending, "MOST_BYTES", 950)
    assert [len(each) for each in batches(paths)] == [9] * 13 + [3]
