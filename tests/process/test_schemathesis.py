"""What the OpenAPI document says may be asked, and what it says may not, breaks nothing.

For longer than the tests take:
`.venv/bin/schemathesis run http://localhost:8080/openapi.json --checks not_a_server_error`
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.tokens import access_token
from tests.conftest import RunningServer, running_server

_SECONDS = os.environ.get("SCHEMATHESIS_SECONDS", "12")


@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_no_request_that_the_document_leads_to_fails(
    server: RunningServer, phase: str, tmp_path: Path
) -> None:
    _check(server, phase, tmp_path)


def test_no_request_with_a_token_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--authentication", "embedded"]
    with running_server(tmp_path, *options) as server:
        token = access_token(server.base_url, data)
        _check(server, "fuzzing", tmp_path, "--header", f"Authorization: Bearer {token}")


def _check(server: RunningServer, phase: str, directory: Path, *more: str) -> None:
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.root}/openapi.json",
        "--checks", "not_a_server_error", "--phases", phase, "--max-time", _SECONDS,
        "--continue-on-failure", "--seed", "1", "--no-color", *more,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )
    shown = done.stdout[-5000:] + done.stderr[-2000:]
    assert "generated, " in shown, shown
    # Its own errors (Python 3.11 breaks off the reading of some of its sources) are not ours.
    assert "Server error" not in shown, shown
    assert "unique failure" not in shown, shown
    log = server.log.read_text()
    assert '"level": "ERROR"' not in log, log[-3000:]
