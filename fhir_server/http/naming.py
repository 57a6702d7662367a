"""Under which names the server is asked, while it answers everybody on its machine.

A page in a browser on that machine may have its own name lead to 127.0.0.1, and would then read
what the server answers (DNS rebinding); the Host header still has the page's name.
"""

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from fhir_server.fhir_json import encode
from fhir_server.http.answer import respond
from fhir_server.http.body import Receive, Scope, Send
from fhir_server.http.negotiation import CONTENT_TYPE
from fhir_server.outcome import Issue, operation_outcome

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_OF_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


def names_of(*urls: str | None) -> frozenset[str]:
    """The names that this machine and some URLs have."""
    found = (urlsplit(url).hostname for url in urls if url)
    return _OF_THIS_MACHINE.union(name for name in found if name)


def named(app: Asgi, names: Collection[str]) -> Asgi:
    """An application that answers under these names only; others get 421 (RFC 9110 15.5.20)."""
    known: set[bytes] = set()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"")
            if host not in known:
                if _name(host) not in names:
                    await _misdirected(send)
                    return
                # As many as there are ports a client may write.
                if len(known) < 100:
                    known.add(host)
        await app(scope, receive, send)

    return serve


def _name(host: bytes) -> str:
    try:
        return urlsplit(f"//{host.decode('latin-1')}").hostname or ""
    except ValueError:
        return ""


async def _misdirected(send: Send) -> None:
    text = (
        "The server is not known under this name; expected localhost, or the host of --base-url "
        "(without authentication it answers nobody else)"
    )
    body = encode(operation_outcome([Issue("security", text)]))
    await respond(send, 421, [(b"content-type", CONTENT_TYPE.encode())], body)
