"""Runs of TestScripts with settings of their own: other servers, and how long they may take."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON
from tests.operations.scripts import PATIENT, claim, messages, operation, run, script_of


class Redirecting(BaseHTTPRequestHandler):
    """Redirects every request to where it must not lead."""

    target = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.target)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def redirecting() -> Iterator[tuple[str, socket.socket]]:
    """The host of a server that redirects, and a listener that must not be connected to."""
    with socket.create_server(("127.0.0.1", 0)) as forbidden:
        forbidden.settimeout(0.2)
        Redirecting.target = f"http://127.0.0.1:{forbidden.getsockname()[1]}/secret"
        with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"127.0.0.1:{server.server_port}", forbidden
            server.shutdown()
            thread.join()


@asynccontextmanager
async def serving(database: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = build(Settings(database_pool=4, **settings), database)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://test/fhir/",
            headers=FHIR_JSON,
            timeout=60,
        ) as client,
    ):
        yield client


async def test_an_allowed_server_is_tested_and_its_redirects_are_not_followed(
    database: str, redirecting: tuple[str, socket.socket]
) -> None:
    host, forbidden = redirecting
    async with serving(database, test_hosts=f"fhir.example.org {host}") as client:
        script = script_of(operation("read", url="Patient/p"), claim(responseCode="302"))
        destination = {"name": "destination", "valueUri": f"http://{host}/fhir"}
        report = await run(client, script, destination)
    assert report["result"] == "pass", messages(report)
    with pytest.raises(TimeoutError):
        forbidden.accept()


async def test_a_run_that_takes_too_long_is_stopped_and_torn_down(database: str) -> None:
    waiting = {
        "url": "http://ignixa.io/testscript/waitFor",
        "extension": [
            {"url": "pollingStatusCode", "valueInteger": 404},
            {"url": "maxAttempts", "valueInteger": 100},
            {"url": "intervalMs", "valueInteger": 50},
        ],
    }
    endless = operation("read", url="Patient/none")
    endless["operation"]["extension"] = [waiting]
    script = script_of(
        endless,
        teardown={"action": [operation("update", url="Patient/torn-down", sourceId="f")]},
        contained=[PATIENT | {"id": "torn-down"}],
        fixture=[{"id": "f", "autocreate": False, "autodelete": False,
                  "resource": {"reference": "#torn-down"}}],
    )  # fmt: skip
    async with serving(database, test_timeout=0.5) as client:
        report = await run(client, script)
        assert (report["status"], report["result"]) == ("stopped", "fail")
        assert "the run was stopped after 0.5 s" in messages(report)
        assert (await client.get("Patient/torn-down")).status_code == 200
