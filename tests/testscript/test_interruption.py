"""A run that is interrupted: what has run is reported, and everything is torn down."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fhir_server.conformance.client import Client
from fhir_server.conformance.reading import script
from fhir_server.conformance.runner import Options, begun, run
from fhir_server.conformance.server import Server
from fhir_server.conformance.testreport import test_report as report_of
from tests.testscript.building import claim, operation, script_of

READ = operation("read", url="Patient/p")


class SlowServer(ThreadingHTTPServer):
    """Answers what it is asked, but for `slow`, which it never answers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stuck = threading.Event()
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/fhir"


class _Handler(BaseHTTPRequestHandler):
    server: SlowServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if "slow" in self.path:
            self.server.stuck.set()
            self.server.ended.wait(60)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/fhir+json")
        self.end_headers()
        self.wfile.write(b'{"resourceType": "Patient", "id": "p"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    with SlowServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


INTERRUPTED = script_of(
    name="Interrupted",
    test=[
        {"name": "quick", "action": [READ, claim(response="okay")]},
        {"name": "stuck", "action": [READ, operation("read", url="Patient/slow")]},
        {"name": "later", "action": [READ, claim(response="okay")]},
    ],
    teardown={"action": [operation("read", url="Patient/torn-down")]},
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_writes_the_reports_of_what_has_run(
    tmp_path: Path, slow: SlowServer, number: signal.Signals
) -> None:
    folder, report = tmp_path / "s", tmp_path / "report"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(script_of(READ, name="First")))
    (folder / "b.json").write_text(json.dumps(INTERRUPTED))
    (folder / "c.json").write_text(json.dumps(script_of(READ, name="Never")))
    arguments = ["test", str(folder), "--base-url", slow.base_url, "--report", str(report)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_server.cli", *arguments], stderr=subprocess.PIPE
    )
    assert slow.stuck.wait(60)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in told
    assert b"2 scripts, 4 tests" in told
    assert b"2 passed, 2 skipped, 1 script interrupted" in told
    assert slow.asked[-1] == "/fhir/Patient/torn-down"
    reports = {path.name: json.loads(path.read_text()) for path in report.glob("*.json")}
    assert {name: (each["status"], each["result"]) for name, each in reports.items()} == {
        "TestReport-a-json.json": ("completed", "pass"),
        "TestReport-b-json.json": ("stopped", "pending"),
    }
    junit = ElementTree.parse(report / "junit.xml").getroot()
    skipped = [each.get("name") for each in junit.iterfind(".//testcase[skipped]")]
    assert skipped == ["stuck", "later"]
    assert "TestScripts: interrupted" in (report / "report.html").read_text()


async def test_a_test_that_was_broken_off_has_not_passed(slow: SlowServer) -> None:
    made = script(INTERRUPTED, Path("s.json"), Path())
    async with Client([slow.base_url]) as client:
        server = Server(client, {1: slow.base_url})
        result = begun(made, server, Options())
        running = asyncio.create_task(run(made, server, Options(), result=result))
        await asyncio.to_thread(slow.stuck.wait, 60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(test.name, test.result) for test in result.tests] == [
        ("quick", "pass"),
        ("stuck", "skip"),
        ("later", "skip"),
    ]
    assert report_of(result)["status"] == "stopped"
