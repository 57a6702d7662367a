"""Where the server may listen, and what of TLS is refused before it starts."""

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from fhir_server.settings import Settings
from fhir_server.transport import connection_options, exposure, is_loopback, tls_problem

AUTHORITY = trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Settings that name a certificate and its key."""
    made = AUTHORITY.issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    return {
        "tls_certificate": str(tmp_path / "certificate.pem"),
        "tls_key": str(tmp_path / "key.pem"),
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_needs_no_authentication(host: str) -> None:
    assert is_loopback(host)
    assert exposure(host, "off") == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "a.example.org", "", "2001:db8::1"])
def test_other_machines_need_authentication(host: str) -> None:
    assert "docs/security.md" in exposure(host, "off")
    assert exposure(host, "embedded") == ""


def test_certificate_and_key_are_sound(files: dict[str, str]) -> None:
    settings = Settings.model_validate(files)
    assert tls_problem(settings) == ""
    assert connection_options(settings)["ssl_client_verify"] is False


@pytest.mark.parametrize("given", ["tls_certificate", "tls_key"])
def test_one_without_the_other_is_refused(files: dict[str, str], given: str) -> None:
    assert "needs both" in tls_problem(Settings.model_validate({given: files[given]}))


def test_a_key_of_another_certificate_is_refused(files: dict[str, str]) -> None:
    AUTHORITY.issue_cert("other").private_key_pem.write_to_path(files["tls_key"])
    assert "cannot be used" in tls_problem(Settings.model_validate(files))


def test_what_is_no_certificate_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    for name in ("tls_certificate", "tls_key", "tls_client_ca"):
        wrong = files | {name: str(tmp_path / "text.pem")}
        assert "cannot be used" in tls_problem(Settings.model_validate(wrong))


def test_an_encrypted_key_is_refused(files: dict[str, str]) -> None:
    path = Path(files["tls_key"])
    key = load_pem_private_key(path.read_bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    assert "not encrypted" in tls_problem(Settings.model_validate(files))


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_problem(Settings()) == ""
    assert set(connection_options(Settings())) == {"http1_settings"}
