"""A fresh server of one's own, for a run that names none."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

_READY_WITHIN_SECONDS = 90.0
_STOP_WITHIN_SECONDS = 30


class NotStarted(Exception):
    """The server did not become ready; says what it said."""


@contextmanager
def own_server() -> Iterator[str]:
    """The base URL of a new, empty server with a database of its own; both are gone afterwards.

    Raises NotStarted.
    """
    with tempfile.TemporaryDirectory(prefix="fhir-server-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = _free_port()
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "fhir_server.cli", "serve"),
                    *("--port", str(port), "--data-dir", str(folder / "data")),
                ],
                stdout=output,
                stderr=output,
                # Ctrl-C in a terminal is not meant for it: the teardown still needs it.
                process_group=0,
            )
        try:
            _wait(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}/fhir"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], root: str, log: Path) -> None:
    end = time.monotonic() + _READY_WITHIN_SECONDS
    with httpx.Client(timeout=2, trust_env=False) as client:
        while time.monotonic() < end and process.poll() is None:
            with suppress(httpx.HTTPError):
                if client.get(f"{root}/health/ready").status_code == 200:
                    return
            time.sleep(0.05)
    raise NotStarted(f"a server of its own did not become ready: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
