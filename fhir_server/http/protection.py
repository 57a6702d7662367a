"""Headers that every answer has, so that browsers and caches keep to themselves what it holds."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fhir_server.http.body import Receive, Scope, Send

if TYPE_CHECKING:
    from fhir_server.http.body import Message

Header = tuple[bytes, bytes]
Headers = tuple[Header, ...]

# A year: from then on browsers do not ask by http.
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
# Nothing of an answer may be run, embedded or sent elsewhere; pages say what else they need.
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_ALWAYS: Headers = (
    (b"server", b"fhir-server"),
    (b"x-content-type-options", b"nosniff"),
    # Patients are not left on the disks of shared machines. A client that keeps a resource itself
    # still asks with If-None-Match.
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", _NOTHING.encode()),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def protection(base_url: str | None) -> Headers:
    """The headers of every answer.

    base_url: of FHIR as configured; one of https demands https from then on (RFC 6797), except of
        `localhost`, which other servers of that machine are called too.
    """
    url = urlsplit(base_url or "")
    if url.scheme == "https" and url.hostname != "localhost":
        return (*_ALWAYS, _STRICT_TRANSPORT)
    return _ALWAYS


def page_policy(style: str = "") -> str:
    """The Content-Security-Policy of a page without scripts (CSP 3).

    style: what stands between `<style>` and `</style>`.
    """
    digest = b64encode(sha256(style.encode()).digest()).decode()
    styles = f"style-src 'sha256-{digest}'; " if style else ""
    return (
        f"default-src 'none'; {styles}base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def protected(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], always: Headers
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An application whose answers have these headers, where they do not say otherwise."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: "Message") -> None:
            if message["type"] == "http.response.start":
                found = list(message.get("headers", ()))
                given = {name.lower() for name, _ in found}
                message["headers"] = found + [each for each in always if each[0] not in given]
            await send(message)

        await app(scope, receive, guarded)

    return serve
