"""Bodies that no honest client sends: each gets a clear 4xx, nothing is stored."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from fhir_server.settings.content import MEBIBYTE
from tests.conftest import RunningServer
from tests.process.wire import Answer, connected, exchange, request_head, whole_answer

pytestmark = pytest.mark.usefixtures("unharmed")

_DEEP = 10_000
_PATIENT = b'{"resourceType": "Patient"}'


def _post(server: RunningServer, body: bytes, target: str = "/fhir/Patient") -> Answer:
    return exchange(server, request_head("POST", target, len(body)), body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b'"Patient"',
        b"42",
        b"NaN",
        b'{"resourceType": "Patient",}',
        b"{'resourceType': 'Patient'}",
        b'{"resourceType": "Patient"} {"resourceType": "Patient"}',
        b'{"resourceType": "Patient", "active": true, "active": false}',
        b'{"resourceType": "Patient", "name": [{"family": "a", "family": "b"}]}',
        b'{"resourceType": "Patient", "name": [{"family": "\xff\xfe"}]}',
        b'{"resourceType": "Patient", "name": [{"family": "M\xfcller"}]}',
        b'{"resourceType": "Patient", "name": [{"family": "\\ud800"}]}',
        b'{"resourceType": "Patient", "name": [{"family": "a\\u0000b"}]}',
        b'{"resourceType": "Patient", "name": [{"family": "a\x00b"}]}',
        b'\xef\xbb\xbf{"resourceType": "Patient"',
        b'{"resourceType": "Patient", "multipleBirthInteger": 1e999999999}',
        b'{"resourceType": "Patient", "multipleBirthInteger": ' + b"9" * 100_000 + b"}",
        b'{"resourceType": "Patient", "__proto__": {"active": true}}',
        b'{"resourceType": "Patient", "id": "../../etc/passwd", "active": "true"}',
        b'{"resourceType": "Nobody"}',
        b'{"resourceType": ["Patient"]}',
        b'{"resourceType": "Observation"}',
        b"{" * _DEEP,
        b"[" * _DEEP + b"]" * _DEEP,
        b'{"extension": [' * _DEEP,
        b'{"resourceType": "Patient", "extension": ' + b"[" * _DEEP + b"]" * _DEEP + b"}",
        b'{"resourceType": "Patient", "contained": ['
        + b'{"resourceType": "Patient", "contained": [' * _DEEP
        + b"]}" * _DEEP
        + b"]}",
    ],
    ids=lambda body: body[:40].decode("latin-1").encode("unicode_escape").decode(),
)
def test_body_that_is_no_resource_is_refused(server: RunningServer, body: bytes) -> None:
    answer = _post(server, body)
    assert 400 <= answer.status < 500
    assert answer.outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("target", ["/fhir/Patient", "/fhir"])
def test_deep_extensions_are_refused_quickly(server: RunningServer, target: str) -> None:
    opening, closing = b'{"url": "urn:x", "extension": [', b"]}"
    deep = opening * _DEEP + closing * _DEEP
    body = b'{"resourceType": "Patient", "extension": [' + deep + b"]}"
    started = time.monotonic()
    assert _post(server, body, target).status == 400
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/pdf",
        "multipart/form-data",
        "application/fhir+json; charset=latin-1",
    ],
)
def test_wrong_content_type_is_refused(server: RunningServer, content_type: str) -> None:
    head = request_head("POST", "/fhir/Patient", len(_PATIENT), Content_Type=content_type)
    assert exchange(server, head, _PATIENT).outcome
    assert exchange(server, head, _PATIENT).status == 415


def test_missing_content_type_is_refused(server: RunningServer) -> None:
    head = request_head("POST", "/fhir/Patient", Content_Length=str(len(_PATIENT)))
    assert exchange(server, head, _PATIENT).status == 415


class _Peak:
    """The workers' memory, at its highest since this was made."""

    def __init__(self, server: RunningServer) -> None:
        self._workers = psutil.Process(server.process.pid).children()
        for worker in self._workers:
            # Linux: forget the highest resident size so far.
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
        self._before: list[int] = [worker.memory_info().rss for worker in self._workers]

    def growth(self) -> int:
        """Bytes that the worker which grew most took at its highest."""
        return max(
            _highest(worker.pid) - before
            for worker, before in zip(self._workers, self._before, strict=True)
        )


def _highest(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_announced_200_megabytes_are_refused_before_they_are_sent(server: RunningServer) -> None:
    peak = _Peak(server)
    with connected(server, timeout=5) as connection:
        connection.sendall(request_head("POST", "/fhir/Patient", 200 * MEBIBYTE) + b" " * 1000)
        answer = whole_answer(connection)
    assert answer.status == 413
    assert "8388608" in answer.outcome["issue"][0]["diagnostics"]
    assert peak.growth() < 4 * MEBIBYTE


def test_200_megabytes_sent_regardless_do_not_fill_the_memory(server: RunningServer) -> None:
    peak = _Peak(server)
    with connected(server) as connection:
        connection.sendall(request_head("POST", "/fhir/Patient", 200 * MEBIBYTE))
        sent = _send_until_refused(connection, iter([b" " * MEBIBYTE] * 200))
        assert sent < 20
    assert peak.growth() < 16 * MEBIBYTE


def test_200_megabytes_in_chunks_are_refused_at_the_limit(server: RunningServer) -> None:
    peak = _Peak(server)
    head = request_head(
        "POST", "/fhir/Patient", Content_Type="application/fhir+json", Transfer_Encoding="chunked"
    )
    chunk = b"100000\r\n" + b" " * MEBIBYTE + b"\r\n"
    with connected(server) as connection:
        connection.sendall(head)
        sent = _send_until_refused(connection, iter([chunk] * 200))
        assert 8 <= sent < 40
        with suppress(ConnectionError):
            assert whole_answer(connection).status == 413
    assert peak.growth() < 32 * MEBIBYTE


def _send_until_refused(connection: Any, chunks: Iterator[bytes]) -> int:
    """How many chunks the server took before it answered or closed."""
    sent = 0
    for chunk in chunks:
        try:
            connection.sendall(chunk)
        except OSError:
            break
        sent += 1
        connection.setblocking(False)
        try:
            if connection.recv(1, 2):  # MSG_PEEK
                break
        except BlockingIOError:
            pass
        except ConnectionError:
            break
        finally:
            connection.settimeout(10)
    return sent


def test_compressed_body_is_not_unpacked(server: RunningServer) -> None:
    head = request_head("POST", "/fhir/Patient", 4, Content_Encoding="gzip")
    assert 400 <= exchange(server, head, b"\x1f\x8b\x08\x00").status < 500


def _bundle(entries: list[Any], type_: str = "transaction") -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": type_, "entry": entries}).encode()


def _entry(resource: Any, **more: Any) -> dict[str, Any]:
    request = {"method": "POST", "url": resource["resourceType"]}
    return {"resource": resource, "request": request, **more}


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_bundle_of_10_000_entries_is_refused(server: RunningServer, type_: str) -> None:
    body = _bundle([_entry({"resourceType": "Patient"})] * 10_000, type_)
    answer = _post(server, body, "/fhir")
    assert answer.status == 413
    assert "10000" in answer.outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("depth", [1, 50])
def test_transaction_inside_a_transaction_is_not_carried_out(
    server: RunningServer, depth: int
) -> None:
    inner: dict[str, Any] = {"resourceType": "Patient", "birthDate": "never"}
    for _ in range(depth):
        inner = {"resourceType": "Bundle", "type": "transaction", "entry": [_entry(inner)]}
    assert _post(server, json.dumps(inner).encode(), "/fhir").status == 400


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "DELETE"}},
        {"request": {"method": "DROP", "url": "Patient/1"}},
        {"request": {"method": "DELETE", "url": "../../Patient"}},
        {"request": {"method": "GET", "url": "http://169.254.169.254/latest"}},
        {"request": {"method": "GET", "url": "Patient/../../../etc/passwd"}},
        {"request": {"method": "GET", "url": "Patient?_id=1'; drop table resource; --"}},
        _entry({"resourceType": "Patient"}, fullUrl="'; drop table resource; --"),
    ],
    ids=str,
)
def test_entry_that_makes_no_sense_fails_the_whole_transaction(
    server: RunningServer, entry: Any
) -> None:
    body = _bundle([_entry({"resourceType": "Patient"}), entry])
    answer = _post(server, body, "/fhir")
    assert 400 <= answer.status < 500
    assert answer.outcome


def test_transaction_that_refers_to_nothing_is_refused(server: RunningServer) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": "Patient?identifier=no-such' or 1=1"},
    }
    assert 400 <= _post(server, _bundle([_entry(observation)]), "/fhir").status < 500
