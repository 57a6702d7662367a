"""`fhir-server serve --with-orthanc`: one command, and both are there."""

import subprocess
from pathlib import Path

import httpx
import pytest

from fhir_server.dicom.local import NotInstalled, program
from fhir_server.workers import port_is_free
from tests.conftest import free_port, running_server


def test_dcm_1_one_command_runs_both_and_ends_both(database: str, tmp_path: Path) -> None:
    try:
        program()
    except NotInstalled as error:
        pytest.skip(str(error))
    http, dicom = free_port(), free_port()
    options = [
        "--database-url", database, "--workers", "1", "--with-orthanc",
        "--orthanc-http-port", str(http), "--orthanc-dicom-port", str(dicom),
        "--orthanc-poll", "0.2",
    ]  # fmt: skip
    with running_server(tmp_path, *options) as server:
        subprocess.run(
            ["echoscu", "-aet", "STORESCU", "-aec", "ORTHANC", "127.0.0.1", str(dicom)],
            check=True,
            timeout=30,
        )
        assert httpx.get(f"http://127.0.0.1:{http}/system").status_code == 401
        ready = httpx.get(f"{server.root}/health/ready").json()
        assert ready["archive"] in ("ok", "not asked yet")
        server.process.kill()
        server.process.wait()
    assert port_is_free("127.0.0.1", http, 15)
    secrets = [tmp_path / "data" / "orthanc" / name for name in ("password", "hint-secret")]
    assert [oct(path.stat().st_mode & 0o777) for path in secrets] == ["0o600", "0o600"]
