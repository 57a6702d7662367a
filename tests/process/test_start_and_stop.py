"""Starting and stopping by the book."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.conftest import FHIR_JSON, RunningServer, free_port, running_server
from tests.process.wire import connected, request_head, whole_answer

# Workers that do not end by themselves are killed after 20 seconds.
_WITHOUT_KILLING = 15


def _to_main(server: RunningServer) -> None:
    server.process.terminate()


def _to_all(server: RunningServer) -> None:
    for process in [*psutil.Process(server.process.pid).children(), server.process]:
        process.terminate()


@pytest.mark.parametrize("stop", [_to_main, _to_all])
def test_stop_lets_requests_under_way_finish(
    directory: Path, stop: Callable[[RunningServer], None]
) -> None:
    body = b'{"resourceType": "Patient", "active": true}'
    with running_server(directory) as server, ExitStack() as stack:
        connections = [stack.enter_context(connected(server)) for _ in range(8)]
        for connection in connections:
            connection.sendall(request_head("POST", "/fhir/Patient", len(body)) + body[:20])
        time.sleep(0.3)
        stop(server)
        time.sleep(0.7)
        for connection in connections:
            connection.sendall(body[20:])
        answers = [whole_answer(connection) for connection in connections]
        assert [answer.status for answer in answers] == [201] * 8
        assert server.process.wait(20) == 0
    with running_server(directory) as again:
        assert _count(again) == 8


def test_requests_before_a_stop_are_answered_or_refused_never_lost(directory: Path) -> None:
    entry = {
        "resource": {"resourceType": "Patient"},
        "request": {"method": "POST", "url": "Patient"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 4000}
    with running_server(directory) as server, ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(_post, server, bundle) for _ in range(8)]
        time.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        stored = [answer.result() for answer in answers].count(200)
        assert stored
        assert server.process.wait(20) == 0
    with running_server(directory) as again:
        assert _count(again) == stored * 4000


def _post(server: RunningServer, bundle: dict[str, Any]) -> int | None:
    try:
        return httpx.post(server.base_url, json=bundle, headers=FHIR_JSON, timeout=30).status_code
    except httpx.TransportError:
        return None


def _count(server: RunningServer) -> int:
    return int(httpx.get(f"{server.base_url}/Patient?_summary=count").json()["total"])


def test_second_start_makes_no_database_and_has_the_data(directory: Path) -> None:
    with running_server(directory) as server:
        created = httpx.post(
            f"{server.base_url}/Patient", json={"resourceType": "Patient"}, headers=FHIR_JSON
        )
    made = (directory / "data" / "postgres" / "PG_VERSION").stat().st_mtime_ns
    with running_server(directory) as again:
        read = httpx.get(f"{again.base_url}/Patient/{created.json()['id']}")
    assert read.json() == created.json()
    assert (directory / "data" / "postgres" / "PG_VERSION").stat().st_mtime_ns == made


def test_stop_is_quick_when_a_connection_is_open_and_idle(directory: Path) -> None:
    with running_server(directory) as server, httpx.Client() as client:
        client.get(f"{server.base_url}/metadata")
        started = time.monotonic()
        server.process.terminate()
        assert server.process.wait(20) == 0
    assert time.monotonic() - started < _WITHOUT_KILLING


@pytest.mark.parametrize("after", [0, 0.1, 0.2, 0.4, 0.8])
def test_stop_soon_after_the_start_is_quick(directory: Path, after: float) -> None:
    with running_server(directory) as server:
        time.sleep(after)
        started = time.monotonic()
        server.process.terminate()
        assert server.process.wait(25) == 0
    assert time.monotonic() - started < _WITHOUT_KILLING


def test_signal_during_the_start_ends_it_with_its_database(directory: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_server.cli", "serve", "--port", str(free_port())],
        cwd=directory,
        stderr=subprocess.DEVNULL,
    )
    postmaster = directory / "data" / "postgres" / "postmaster.pid"
    while not postmaster.exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.terminate()
    assert process.wait(20) in (0, 128 + signal.SIGTERM)
    assert not postmaster.exists()


def _serve(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fhir_server.cli", "serve", *options],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_second_server_on_a_port_is_refused(directory: Path) -> None:
    with running_server(directory) as server:
        port = server.root.rpartition(":")[2]
        second = _serve(directory, "--port", port, "--data-dir", "other")
    assert second.returncode == 1
    assert f"port {port} is in use" in second.stderr


def test_second_server_on_a_data_directory_is_refused_and_leaves_the_first_alone(
    directory: Path,
) -> None:
    with running_server(directory) as server:
        second = _serve(directory, "--port", str(free_port()))
        ready = httpx.get(f"{server.root}/health/ready")
    assert second.returncode == 1
    assert "another server uses the data directory" in second.stderr
    assert ready.status_code == 200
