"""HTTP by hand, for requests that no client library would send."""

import json
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from tests.conftest import RunningServer


@dataclass(slots=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome it carries."""
        found = json.loads(self.body)
        assert found["resourceType"] == "OperationOutcome", found
        return dict(found)


def connected(server: RunningServer, timeout: float = 10.0) -> socket.socket:
    """A new connection to a server."""
    host, _, port = server.root.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def request_head(method: str, target: str | bytes, length: int | None = None, **more: str) -> bytes:
    """The head of a request; a body of FHIR JSON is announced by its length."""
    raw = target if isinstance(target, bytes) else target.encode()
    headers = {"Host": "localhost"}
    if length is not None:
        headers |= {"Content-Type": "application/fhir+json", "Content-Length": str(length)}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return method.encode() + b" " + raw + b" HTTP/1.1\r\n" + lines.encode("latin-1") + b"\r\n"


def whole_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one response; the connection stays as it is."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def exchange(
    server: RunningServer, head: bytes, body: bytes = b"", *, method: str = "GET"
) -> Answer:
    """Send a request on a connection of its own and read its response."""
    with connected(server) as connection:
        connection.sendall(head + body)
        return whole_answer(connection, method)
