"""`fhir-server serve --with-orthanc`: one command, both are there, and both may be killed."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from fhir_server.dicom.local import LocalOrthanc
from fhir_server.workers import port_is_free
from tests.conftest import FHIR_JSON, free_port, running_server
from tests.dicom.conftest import OPEN, skip_without_orthanc
from tests.dicom.hospital import Hospital, based_on


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server runs, with an Orthanc that takes from anybody and is soon quiet."""
    skip_without_orthanc()
    own = tmp_path / "data" / "orthanc" / "settings.json"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps(OPEN))
    return tmp_path


def echoscu(port: int) -> None:
    """Ask as dcmtk does, without being listed by anybody."""
    command = ["echoscu", "-aet", "STORESCU", "-aec", "ORTHANC", "127.0.0.1", str(port)]
    subprocess.run(command, check=True, timeout=30)


async def test_one_command_runs_both_and_what_a_kill_interrupts_is_caught_up(
    database: str, folder: Path
) -> None:
    """Hazard: lost hook; our server, and Orthanc with it, killed inside the stable window."""
    port, http, dicom = free_port(), free_port(), free_port()
    options = [
        "--database-url", database, "--workers", "1", "--with-orthanc",
        "--orthanc-http-port", str(http), "--orthanc-dicom-port", str(dicom),
        # Long enough to show that a hint of the plugin is all it takes.
        "--orthanc-poll", "60",
    ]  # fmt: skip
    orthanc = LocalOrthanc(folder / "data" / "orthanc", http, dicom)
    base = f"http://127.0.0.1:{port}/fhir/"
    async with httpx.AsyncClient(base_url=base, headers=FHIR_JSON, timeout=30) as client:
        hospital = Hospital(client, orthanc, folder / "images")
        with running_server(folder, *options, port=port) as server:
            echoscu(dicom)
            assert (await client.get(f"http://127.0.0.1:{http}/system")).status_code == 401
            order, scan = await hospital.ordered("F6")
            hospital.send(scan, 2)
            await hospital.study(scan, based_on)
            lost, second = await hospital.ordered("F7")
            hospital.send(second, 2)
            server.process.kill()
            server.process.wait()
        assert port_is_free("127.0.0.1", port, 10)
        assert port_is_free("127.0.0.1", http, 15)
        with running_server(folder, *options, port=port):
            study = await hospital.study(second, based_on)
            assert (study["numberOfInstances"], study["meta"]["versionId"]) == (2, "1")
            for each in (order, lost):
                steps = await hospital.all(f"Provenance?target=ServiceRequest/{each['id']}")
                codes = [found["activity"]["coding"][0]["code"] for found in steps]
                assert codes.count("complete") == 1
    secrets = [folder / "data" / "orthanc" / name for name in ("password", "hint-secret")]
    assert [oct(path.stat().st_mode & 0o777) for path in secrets] == ["0o600", "0o600"]
