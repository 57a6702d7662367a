"""A server on a real socket that answers as a test's script says, and remembers what it was asked.

For what a sound server never does: break off, refuse to take more, lose its data.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def bundle(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class BreakOff(Exception):
    """Close the connection instead of answering."""


Script = Callable[[Request], Reply]
CAPABILITIES = Reply(200, {"resourceType": "CapabilityStatement", "software": {"name": "script"}})


def accept(request: Request) -> Reply:
    """Everything is created."""
    if request.path == "/fhir/metadata":
        return CAPABILITIES
    if request.method == "GET":
        return Reply(200, {"resourceType": "Patient"})
    if request.path == "/fhir":
        return respond(request, ["201 Created"] * len(request.bundle["entry"]))
    return Reply(201, None, {"Location": "http://server/fhir/Patient/1/_history/1"})


def respond(request: Request, statuses: list[str]) -> Reply:
    """A batch or transaction response with one status for each entry."""
    entries = [
        {
            "response": {"status": status, "location": f"Patient/{number}/_history/1"}
            if status.startswith("2")
            else {"status": status, "outcome": outcome("not this one")}
        }
        for number, status in enumerate(statuses)
    ]
    type_ = f"{request.bundle['type']}-response"
    return Reply(200, {"resourceType": "Bundle", "type": type_, "entry": entries})


def outcome(diagnostics: str) -> dict[str, Any]:
    issue = {"severity": "error", "code": "invalid", "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass
class ScriptedServer:
    base_url: str
    script: Script = accept
    requests: list[Request] = field(default_factory=list)

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.method != "GET"]


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, body, dict(self.headers))
            with lock:
                server.requests.append(request)
            try:
                reply = server.script(request)
            except BreakOff:
                self.close_connection = True
                return
            content = b"" if reply.body is None else json.dumps(reply.body).encode()
            self.send_response_only(reply.status)
            for name, value in ({"Date": self.date_time_string()} | reply.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer  # noqa: N815  names the base class looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = ScriptedServer(f"http://127.0.0.1:{http.server_port}/fhir")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
