"""https without a proxy: which versions, whose clients, and a certificate that is renewed."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trustme

from tests.conftest import free_port

AUTHORITY = trustme.CA()
OF_CLIENTS = trustme.CA()


class Server:
    """A server of https. folder: with `certificate.pem` and `key.pem`."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    @property
    def root(self) -> str:
        """Its address."""
        return f"https://localhost:{self.port}"

    def get(self, path: str, context: ssl.SSLContext) -> httpx.Response:
        """An answer."""
        with httpx.Client(verify=context, trust_env=False, timeout=20) as client:
            return client.get(self.root + path)

    def certificate(self) -> bytes:
        """What it shows to those who connect."""
        with (
            socket.create_connection(("localhost", self.port), 20) as plain,
            trusting().wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""


def write_certificate(folder: Path) -> None:
    """A new certificate of the authority, with its key."""
    made = AUTHORITY.issue_cert("localhost")
    (folder / "certificate.pem").write_bytes(b"".join(c.bytes() for c in made.cert_chain_pems))
    made.private_key_pem.write_to_path(folder / "key.pem")


def trusting() -> ssl.SSLContext:
    """How a client connects that knows the authority."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def known_client() -> ssl.SSLContext:
    """How a client connects that has a certificate of its own."""
    context = trusting()
    OF_CLIENTS.issue_cert("modality@example.org").configure_cert(context)
    return context


@contextmanager
def serving(folder: Path, database: str, context: ssl.SSLContext, *more: str) -> Iterator[Server]:
    """A server with a certificate of the authority."""
    write_certificate(folder)
    port = free_port()
    options = [
        "--port", str(port), "--database-url", database, "--workers", "2",
        "--tls-certificate", "certificate.pem", "--tls-key", "key.pem", *more,
    ]  # fmt: skip
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fhir_server.cli", "serve", *options],
            cwd=folder, stdout=output, stderr=output,
        )  # fmt: skip
    server = Server(process, port, folder)
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                if server.get("/health/ready", context).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(40)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Server]:
    """One for anybody."""
    with serving(tmp_path_factory.mktemp("tls"), database, trusting()) as found:
        yield found


def test_https_is_served_and_links_say_so(server: Server) -> None:
    answer = server.get("/fhir/Patient", trusting())
    assert answer.status_code == 200
    assert answer.json()["link"][0]["url"] == f"{server.root}/fhir/Patient"


def test_who_does_not_know_the_authority_is_not_answered(server: Server) -> None:
    with pytest.raises(httpx.ConnectError):
        server.get("/fhir/Patient", ssl.create_default_context())


def test_http_is_not_served(server: Server) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://localhost:{server.port}/health/live", trust_env=False, timeout=20)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_are_spoken(server: Server, version: ssl.TLSVersion) -> None:
    context = trusting()
    context.minimum_version = context.maximum_version = version
    assert server.get("/health/live", context).status_code == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_not_spoken(server: Server) -> None:
    context = trusting()
    # So that it is the server that says no.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError, match="alert"):
        server.get("/health/live", context)


def test_health_is_asked_by_https(server: Server, tmp_path: Path) -> None:
    AUTHORITY.cert_pem.write_to_path(tmp_path / "authority.pem")
    asked = subprocess.run(
        [sys.executable, "-m", "fhir_server.cli", "health", "--base-url", f"{server.root}/fhir"],
        env=os.environ | {"SSL_CERT_FILE": str(tmp_path / "authority.pem")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr


def test_a_renewed_certificate_is_shown_after_a_signal(server: Server) -> None:
    before = server.certificate()
    write_certificate(server.folder)
    assert server.certificate() == before
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 60
    # Both workers, which take turns.
    shown = 0
    while shown < 20 and time.monotonic() < end:
        # Whoever was about to be greeted by the worker that goes has to come again.
        with suppress(ssl.SSLEOFError, ConnectionError):
            shown = shown + 1 if server.certificate() != before else 0
        time.sleep(0.05)
    assert shown == 20
    assert server.get("/health/ready", trusting()).status_code == 200


def test_only_clients_with_a_certificate_are_answered_where_that_is_wanted(
    tmp_path: Path, database: str
) -> None:
    OF_CLIENTS.cert_pem.write_to_path(tmp_path / "clients.pem")
    more = ("--tls-client-ca", "clients.pem", "--tls-minimum", "1.3")
    with serving(tmp_path, database, known_client(), *more) as server:
        assert server.get("/fhir/Patient", known_client()).status_code == 200
        with pytest.raises(httpx.HTTPError):
            server.get("/fhir/Patient", trusting())
        other = trusting()
        AUTHORITY.issue_cert("somebody@example.org").configure_cert(other)
        with pytest.raises(httpx.HTTPError):
            server.get("/fhir/Patient", other)
        old = known_client()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.HTTPError):
            server.get("/fhir/Patient", old)
