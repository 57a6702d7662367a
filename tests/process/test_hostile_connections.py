"""Connections that dawdle, break off or crowd: the others are served meanwhile."""

import socket
import struct
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.conftest import RunningServer
from tests.process.wire import connected, exchange, request_head, whole_answer

pytestmark = pytest.mark.usefixtures("unharmed")

_BODY = b'{"resourceType": "Patient", "birthDate": "never"}'


def _answers_at_once(server: RunningServer) -> None:
    started = time.monotonic()
    for _ in range(10):
        assert httpx.get(f"{server.base_url}/Patient/none", timeout=5).status_code == 404
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    "beginning",
    [b"", b"P", b"POST /fhir/Patient HT", request_head("POST", "/fhir/Patient", 100) + b"{"],
    ids=["nothing", "method", "line", "body"],
)
def test_200_requests_that_never_end_block_nobody(server: RunningServer, beginning: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connected(server)).sendall(beginning)
        _answers_at_once(server)


def test_body_that_comes_byte_by_byte_is_read(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(request_head("POST", "/fhir/Patient", len(_BODY)))
        for byte in _BODY:
            connection.sendall(bytes([byte]))
            time.sleep(0.002)
        assert whole_answer(connection).status == 400


def test_client_that_closes_its_half_gets_its_answer_or_nothing(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(request_head("POST", "/fhir/Patient", len(_BODY)) + _BODY)
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(65_536)
    assert received == b"" or received.startswith(b"HTTP/1.1 400")
    _answers_at_once(server)


def test_clients_that_break_off_leave_no_trace(server: RunningServer) -> None:
    head = request_head("POST", "/fhir/Patient", len(_BODY))
    for sent in (head[:20], head, head + _BODY[:10], head + _BODY):
        for _ in range(20):
            connection = connected(server)
            # Closing sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(sent)
            connection.close()
    _answers_at_once(server)


def test_client_that_does_not_read_blocks_nobody(server: RunningServer) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(connected(server))
            connection.sendall(request_head("GET", "/fhir/metadata") * 50)
        _answers_at_once(server)


def test_pipelined_requests_are_answered_in_order(server: RunningServer) -> None:
    with connected(server) as connection:
        targets = ["/fhir/metadata", "/fhir/Patient/none", "/fhir/Nobody"] * 5
        connection.sendall(b"".join(request_head("GET", target) for target in targets))
        stream = connection.makefile("rb")
        found = []
        for _ in targets:
            found.append(int(stream.readline().split()[1]))
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            stream.read(length)
        stream.close()
    assert found == [200, 404, 404] * 5


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\nHost: a\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["garbage", "tls", "version", "length", "lengths", "chunk"],
)
def test_what_is_no_http_is_refused_or_hung_up_on(server: RunningServer, head: bytes) -> None:
    with connected(server, timeout=5) as connection:
        connection.sendall(head)
        received = connection.recv(65_536)
    assert received == b"" or received.startswith(b"HTTP/1.1 4")
    _answers_at_once(server)


def test_request_smuggled_behind_two_lengths_is_not_carried_out(server: RunningServer) -> None:
    smuggled = request_head("POST", "/fhir/Patient", 27) + b'{"resourceType": "Patient"}'
    head = (
        b"POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n"
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    answer = exchange(server, head + smuggled)
    assert 400 <= answer.status < 500


@pytest.mark.parametrize("beginning", [b"", b"GET /fhir/meta"], ids=["nothing", "line"])
def test_who_does_not_say_what_they_want_is_hung_up_on(
    server: RunningServer, beginning: bytes
) -> None:
    started = time.monotonic()
    with connected(server, timeout=60) as connection:
        connection.sendall(beginning)
        assert connection.recv(100) == b""
    assert 5 < time.monotonic() - started < 50
