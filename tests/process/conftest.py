"""A data directory whose PostgreSQL does not outlive the test, whatever was killed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from fhir_server.settings.content import MEBIBYTE
from tests.conftest import RunningServer, running_server
from tests.process.wire import exchange, request_head


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a server of this test runs, with its data in `data`."""
    yield tmp_path
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(postmaster(tmp_path), signal.SIGKILL)


def postmaster(directory: Path) -> int:
    """The process id of the embedded PostgreSQL."""
    return int((directory / "data" / "postgres" / "postmaster.pid").read_text().splitlines()[0])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with low limits, shared by the tests of hostile input."""
    directory = tmp_path_factory.mktemp("hostile")
    limits = ["--max-body-bytes", str(8 * MEBIBYTE), "--request-timeout", "30"]
    with running_server(directory, *limits) as found:
        yield found


@pytest.fixture
def unharmed(server: RunningServer) -> Iterator[None]:
    """Nothing is stored by the test, no worker dies, and the server still answers well."""
    before, workers, logged = _newest(server), _workers(server), len(server.log.read_text())
    yield
    assert _newest(server) == before
    assert _workers(server) == workers
    since = server.log.read_text()[logged:]
    assert '"level": "ERROR"' not in since, since
    assert "Traceback" not in since, since


def _newest(server: RunningServer) -> Any:
    """The last version that was stored, of whatever."""
    answer = exchange(server, request_head("GET", "/fhir/_history?_count=1"))
    assert answer.status == 200, answer
    return json.loads(answer.body).get("entry")


def _workers(server: RunningServer) -> list[int]:
    return [worker.pid for worker in psutil.Process(server.process.pid).children()]
