"""The shipped configuration in a real Orthanc."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
FOLDER = Path("/usr/share/orthanc/plugins")
PLUGINS = [FOLDER / "libOrthancDicomWeb.so", FOLDER / "libOrthancPython.so"]
CREDENTIALS = ("bridge", "orthanc-secret")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of an Orthanc that runs orthanc.json with ports and folders of its own."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if not program or not all(each.exists() for each in PLUGINS):
        pytest.skip("Orthanc with its plugins for DICOMweb and Python is not installed")
    data = tmp_path_factory.mktemp("orthanc")
    configuration = tmp_path_factory.mktemp("orthanc-configuration")
    port = free_port()
    shutil.copy(ROOT / "orthanc/orthanc.json", configuration / "orthanc.json")
    own = {
        "StorageDirectory": str(data),
        "IndexDirectory": str(data),
        "Plugins": [str(each) for each in PLUGINS],
        "PythonScript": str(ROOT / "orthanc" / "bridge.py"),
    }
    shipped = json.loads((configuration / "orthanc.json").read_text())
    shipped |= {"HttpPort": port, "DicomPort": free_port()}
    (configuration / "orthanc.json").write_text(json.dumps(shipped))
    (configuration / "machine.json").write_text(json.dumps(own))
    secrets = {"ORTHANC_USER": CREDENTIALS[0], "ORTHANC_PASSWORD": CREDENTIALS[1]}
    with subprocess.Popen(
        [program, str(configuration)],
        env=os.environ | secrets | {"TCP_NODELAY": "1"},
        stderr=subprocess.DEVNULL,
    ) as process:
        base_url = f"http://127.0.0.1:{port}"
        try:
            wait_until_it_answers(base_url, process)
            yield base_url
        finally:
            process.terminate()


def wait_until_it_answers(base_url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "Orthanc refused its configuration"
        try:
            httpx.get(f"{base_url}/system")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Orthanc did not answer within 30 s")


@pytest.mark.parametrize(
    "credentials", [None, ("orthanc", "orthanc"), (CREDENTIALS[0], "wrong")], ids=str
)
def test_strangers_are_refused(orthanc: str, credentials: tuple[str, str] | None) -> None:
    for path in ("/system", "/studies", "/dicom-web/studies"):
        assert httpx.get(f"{orthanc}{path}", auth=credentials).status_code == 401


def test_credentials_come_from_the_environment(orthanc: str) -> None:
    system = httpx.get(f"{orthanc}/system", auth=CREDENTIALS).json()
    assert system["Name"] == "FHIR server images"
    assert system["DicomAet"] == "ORTHANC"


def test_dicomweb_answers(orthanc: str) -> None:
    response = httpx.get(f"{orthanc}/dicom-web/studies", auth=CREDENTIALS)
    assert (response.status_code, response.json()) == (200, [])


def test_what_containers_ask_for_their_health_is_answered(orthanc: str) -> None:
    answer = httpx.get(f"{orthanc}/changes?last", auth=CREDENTIALS)
    assert (answer.status_code, answer.json()["Last"]) == (200, 0)


def test_our_script_runs_and_shuts_doors(orthanc: str) -> None:
    assert "python" in httpx.get(f"{orthanc}/plugins", auth=CREDENTIALS).json()
    for method, path in (("DELETE", "/changes"), ("POST", "/tools/shutdown"), ("GET", "/ui/app/")):
        answer = httpx.request(method, f"{orthanc}{path}", auth=CREDENTIALS)
        assert answer.status_code in (403, 404), path


def test_an_unknown_device_cannot_be_mistaken_for_a_known_one(orthanc: str) -> None:
    assert httpx.get(f"{orthanc}/modalities", auth=CREDENTIALS).json() == []
    shipped = json.loads((ROOT / "orthanc/orthanc.json").read_text())
    open_doors = {name for name in shipped if name.startswith("DicomAlwaysAllow") and shipped[name]}
    assert open_doors == set()
    assert shipped["DicomCheckModalityHost"]
    assert shipped["DicomCheckCalledAet"]
    assert shipped["StrictAetComparison"]


def test_nothing_is_ever_recycled() -> None:
    shipped = json.loads((ROOT / "orthanc/orthanc.json").read_text())
    assert (shipped["MaximumStorageSize"], shipped["MaximumPatientCount"]) == (0, 0)
