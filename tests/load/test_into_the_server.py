"""The command against the real server, in a process of its own."""

import bz2
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import RunningServer, running_server

HOSPITALS = 3
PATIENTS = 40


@pytest.fixture(scope="module")
def server(
    postgres: str, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--database-url", database) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hospitals that come first, patients that refer to them by identifier, and two more files."""
    folder = tmp_path_factory.mktemp("files")
    hospitals = [
        conditional("Organization", f"hospital-{number}", name=f"Hospital {number}")
        for number in range(HOSPITALS)
    ]
    pack(folder / "0-hospitals.json.bz2", {"type": "batch", "entry": hospitals})
    for number in range(PATIENTS):
        hospital = f"Organization?identifier=urn:load|hospital-{number % HOSPITALS}"
        patient = created("Patient", f"patient-{number}", f"urn:uuid:{number}")
        patient["resource"]["managingOrganization"] = {"reference": hospital}
        weight = created("Observation", f"weight-{number}", f"urn:uuid:w{number}")
        weight["resource"] |= {
            "status": "final",
            "code": {"text": "weight"},
            "subject": {"reference": f"urn:uuid:{number}"},
        }
        pack(folder / f"{number:03}.json.bz2", {"type": "transaction", "entry": [patient, weight]})
    lines = (f'{{"resourceType":"Basic","id":"b{n}","code":{{"text":"x"}}}}' for n in range(450))
    (folder / "basics.ndjson").write_text("\n".join(lines))
    (folder / "single.json").write_text('{"resourceType":"Patient","id":"single","active":true}')
    return folder


def created(type_: str, value: str, full_url: str) -> dict[str, Any]:
    identifier = [{"system": "urn:load", "value": value}]
    return {
        "fullUrl": full_url,
        "resource": {"resourceType": type_, "identifier": identifier},
        "request": {"method": "POST", "url": type_},
    }


def conditional(type_: str, value: str, **elements: str) -> dict[str, Any]:
    entry = created(type_, value, f"urn:uuid:{value}")
    entry["resource"] |= elements
    entry["request"]["ifNoneExist"] = f"identifier=urn:load|{value}"
    return entry


def pack(path: Path, bundle: dict[str, Any]) -> None:
    path.write_bytes(bz2.compress(json.dumps({"resourceType": "Bundle"} | bundle).encode()))


def load(
    server: RunningServer, tmp_path: Path, *arguments: str | Path
) -> tuple[int, str, dict[str, Any]]:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "fhir_server.cli", "load", "--base-url", server.base_url]
    options = ["--journal", str(tmp_path / "journal"), "--report", str(report)]
    done = subprocess.run(
        [*command, *options, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr, json.loads(report.read_text())


def total(server: RunningServer, query: str) -> int:
    found = httpx.get(f"{server.base_url}/{query}&_summary=count").json()
    return int(found["total"])


def test_folder_is_stored_once_however_often_it_is_loaded(
    server: RunningServer, folder: Path, tmp_path: Path
) -> None:
    status, told, report = load(server, tmp_path, folder)
    assert status == 0, told
    everything = HOSPITALS + 2 * PATIENTS + 450 + 1
    assert report["resources"]["created"] == everything
    assert f"{everything:,} resources: {everything:,} created in " in told

    patient = httpx.get(f"{server.base_url}/Patient?identifier=urn:load|patient-7").json()
    reference = patient["entry"][0]["resource"]["managingOrganization"]["reference"]
    assert httpx.get(f"{server.base_url}/{reference}").json()["name"] == "Hospital 1"

    status, told, report = load(server, tmp_path, folder)
    assert (status, report["alreadyLoaded"]) == (0, report["files"])
    assert total(server, "Patient?identifier=urn:load|") == PATIENTS

    status, told, report = load(server, tmp_path, "--no-resume", folder / "0-hospitals.json.bz2")
    assert (status, report["resources"]["unchanged"]) == (0, HOSPITALS)
    assert total(server, "Organization?identifier=urn:load|") == HOSPITALS


def test_refusals_are_told_with_the_servers_reason(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "lines.ndjson"
    file.write_text(
        '{"resourceType":"Patient","id":"good","active":true}\n'
        '{"resourceType":"Patient","id":"bad","active":"perhaps"}\n'
    )
    status, told, report = load(server, tmp_path, file)
    assert status == 1
    assert report["resources"]["created"] == 1
    (failure,) = report["failures"]
    assert (failure["file"], failure["position"]) == (str(file), 2)
    assert "Patient.active" in failure["reason"]
    assert f"{file} [2]: " in told
