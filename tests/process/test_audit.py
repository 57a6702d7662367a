"""The audit trail of a server that is killed while it answers."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from tests.conftest import running_server

_READS = 300


def _events(base_url: str) -> list[dict[str, Any]]:
    url = "/AuditEvent?entity=Patient/a&subtype=read&_count=1000"
    answer = httpx.get(base_url + url, timeout=30)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def _request_id(event: dict[str, Any]) -> str:
    return str(event["entity"][-1]["what"]["identifier"]["value"])


def test_every_read_that_was_answered_is_in_the_trail_once_after_a_kill(directory: Path) -> None:
    options = ("--data-dir", str(directory / "data"), "--audit", "on")
    answered = []
    with running_server(directory, *options) as server:
        patient = {"resourceType": "Patient", "id": "a"}
        assert httpx.put(f"{server.base_url}/Patient/a", json=patient).status_code == 201
        with httpx.Client() as client:
            for number in range(_READS):
                headers = {"X-Request-Id": f"read-{number}"}
                answer = client.get(f"{server.base_url}/Patient/a", headers=headers)
                assert answer.status_code == 200
                answered.append(f"read-{number}")
        # With events that are in no more than a journal.
        for process in psutil.Process(server.process.pid).children():
            os.kill(process.pid, signal.SIGKILL)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with running_server(directory, *options) as server:
        # What the dead have left is looked for at the start.
        found: list[dict[str, Any]] = []
        end = time.monotonic() + 60
        while len(found) < _READS and time.monotonic() < end:
            found = _events(server.base_url)
            time.sleep(0.1)
        assert Counter(map(_request_id, found)) == Counter(answered)
        told = httpx.get(f"{server.base_url}/$verify-audit", timeout=30).json()
        assert told["parameter"][0] == {"name": "valid", "valueBoolean": True}
