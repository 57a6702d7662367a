"""How the server is reached: TLS, limits of connections, and where it may listen at all."""

import ssl
from ipaddress import ip_address
from typing import Any

from fhir_server.settings import Settings

# Whoever has not sent the head of a request by then is hung up on; idle connections too.
_HEAD_WITHIN_MILLISECONDS = 15_000
# Of one connection; the head of a request has to fit into it, else it is refused with 431.
_MOST_BUFFERED_BYTES = 128 * 1024


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def exposure(host: str, authentication: str) -> str:
    """Why the server may not listen there; empty if it may."""
    if authentication != "off" or is_loopback(host):
        return ""
    return (
        f"{host} is reached by other machines, and nobody would have to say who they are. "
        "Switch authentication on, or listen on 127.0.0.1 (see docs/security.md)"
    )


def tls_problem(settings: Settings) -> str:
    """What is wrong with certificate and key; empty if nothing is."""
    if settings.tls_certificate is None or settings.tls_key is None:
        if settings.tls_certificate or settings.tls_key or settings.tls_client_ca:
            return "TLS needs both --tls-certificate and --tls-key"
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, lambda: "none")
    except (ssl.SSLError, OSError) as error:
        return (
            f"the certificate and key for TLS cannot be used: {error.strerror or error}; expected "
            "PEM files that belong together, the key not encrypted"
        )
    if settings.tls_client_ca is not None:
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except (ssl.SSLError, OSError) as error:
            return f"--tls-client-ca cannot be used: {error.strerror or error}"
    return ""


def connection_options(settings: Settings) -> dict[str, Any]:
    """What granian is told of connections."""
    from granian.constants import SSLProtocols
    from granian.http import HTTP1Settings

    found: dict[str, Any] = {
        "http1_settings": HTTP1Settings(
            header_read_timeout=_HEAD_WITHIN_MILLISECONDS, max_buffer_size=_MOST_BUFFERED_BYTES
        )
    }
    if settings.tls_certificate is None:
        return found
    lowest = SSLProtocols.tls12 if settings.tls_minimum == "1.2" else SSLProtocols.tls13
    return found | {
        "ssl_cert": settings.tls_certificate,
        "ssl_key": settings.tls_key,
        "ssl_protocol_min": lowest,
        "ssl_ca": settings.tls_client_ca,
        "ssl_client_verify": settings.tls_client_ca is not None,
    }
