"""Measures the server against the bare loop in the same run, in turns.

One machine's figures change from minute to minute; a ratio of two neighbouring rounds does not.
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Connection
from benchmarks.measure import Figures, Target, measure, prepare

COMPARED = ("read", "create")
_READY_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One workload's rounds: the server's and the bare loop's figures, pair by pair."""

    workload: str
    ours: tuple[Figures, ...]
    bare: tuple[Figures, ...]

    @property
    def ratios(self) -> list[float]:
        """Throughput of the server as a share of the bare loop's, round by round."""
        return [a.throughput / b.throughput for a, b in zip(self.ours, self.bare, strict=True)]

    @property
    def median(self) -> float:
        """Of the ratios."""
        return statistics.median(self.ratios)


@contextmanager
def running(name: str, *command: str) -> Iterator[str]:
    """A server process on a port and a data directory of its own; gives its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix=f"benchmark-{name}-") as data:
        Path(data).chmod(0o755)
        log = Path(data) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "--port", str(port), "--data-dir", data],
                stdout=output,
                stderr=output,
            )
        try:
            _wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}/fhir"
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"it does not start: {log.read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"not ready within {_READY_WITHIN_SECONDS:.0f} s: {log.read_text()}")


async def compare(
    seconds: float, clients: int, rounds: int, workers: int, workloads: tuple[str, ...] = COMPARED
) -> list[Comparison]:
    """Start both, measure in turns, stop both."""
    per_worker = ("--workers", str(workers))
    with ExitStack() as stack:
        ours_url = stack.enter_context(running("ours", "fhir_server.cli", "serve", *per_worker))
        bare_url = stack.enter_context(running("bare", "benchmarks.bare", *per_worker))
        ours, bare = await _prepared(ours_url), await _prepared(bare_url)
        found = []
        for workload in workloads:
            pairs = []
            for turn in range(rounds):
                # Who goes first changes, so that neither gains from the other's warm caches.
                order = (ours, bare) if turn % 2 == 0 else (bare, ours)
                figures = {
                    target.base_url: await measure(target, workload, seconds, clients)
                    for target in order
                }
                pairs.append((figures[ours_url], figures[bare_url]))
            found.append(
                Comparison(workload, tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
            )
        return found


async def _prepared(base_url: str) -> Target:
    end = time.monotonic() + _READY_WITHIN_SECONDS
    while True:
        connection = Connection(base_url)
        response = await connection.request("GET", "/metadata")
        connection.close()
        if response.status == 200 or time.monotonic() > end:
            return await prepare(base_url)
