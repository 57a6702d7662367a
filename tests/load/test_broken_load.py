"""A load during which the server is killed: nothing is lost, nothing is stored twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port

FILES = 250
ENTRIES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Transactions of plain creates, which a second sending would double."""
    folder = tmp_path / "files"
    folder.mkdir()
    for file in range(FILES):
        entries = [
            {
                "resource": {
                    "resourceType": "Patient",
                    "identifier": [{"system": "urn:broken", "value": f"{file}-{number}"}],
                },
                "request": {"method": "POST", "url": "Patient"},
            }
            for number in range(ENTRIES)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        (folder / f"{file:04}.json").write_text(json.dumps(bundle))
    return folder


@contextmanager
def server(database: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A server with workers, all in a process group of their own; killed at the end."""
    options = ["--port", str(port), "--database-url", database]
    with subprocess.Popen(
        [sys.executable, "-m", "fhir_server.cli", "serve", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            wait_until(lambda: ready(port))
            yield process
        finally:
            kill(process)


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").is_success
    except httpx.TransportError:
        return False


def kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited for 60 s"
        time.sleep(0.02)


def stored(port: int) -> int:
    query = "Patient?identifier=urn:broken|&_summary=count"
    return int(httpx.get(f"http://127.0.0.1:{port}/fhir/{query}").json()["total"])


def test_load_survives_the_death_of_the_server(database: str, folder: Path, tmp_path: Path) -> None:
    port = free_port()
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "fhir_server.cli", "load", str(folder), "--quiet"]
    options = ["--base-url", f"http://127.0.0.1:{port}/fhir", "--parallel", "8"]
    options += ["--journal", str(tmp_path / "journal"), "--report", str(report)]
    with (
        server(database, port) as first,
        subprocess.Popen([*command, *options], stderr=subprocess.PIPE) as load,
    ):
        wait_until(lambda: stored(port) >= FILES * ENTRIES // 10)
        kill(first)
        assert load.poll() is None, "the load was over before the server died"
        with server(database, port):
            _, told = load.communicate(timeout=120)
            assert stored(port) == FILES * ENTRIES
    assert load.returncode == 0, told.decode()
    assert json.loads(report.read_text())["resources"]["created"] == FILES * ENTRIES
