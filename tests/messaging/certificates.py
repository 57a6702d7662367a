"""Certificates for tests."""

import subprocess
from pathlib import Path

from fhir_server.messaging.settings import ServerTls


def self_signed(folder: Path, name: str) -> ServerTls:
    """A certificate that vouches for itself."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return ServerTls(certificate=certificate, key=key)
