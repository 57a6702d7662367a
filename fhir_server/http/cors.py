"""Which pages of other origins may use this server from a browser (Fetch 3.2, R4 http.html)."""

import re
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp

ANY = "*"

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What scripts may send beside what browsers let them send anyway.
_REQUEST = (
    "Authorization", "Cache-Control", "If-Match", "If-Modified-Since", "If-None-Exist",
    "If-None-Match", "Prefer", "X-Provenance", "X-Request-Id", "X-Requested-With", "X-Tenant",
)  # fmt: skip
# What scripts may read beside what browsers show them anyway.
_RESPONSE = (
    "Content-Disposition", "Content-Location", "ETag", "Last-Modified", "Link", "Location",
    "Retry-After", "Warning", "WWW-Authenticate", "X-Progress", "X-Request-Id",
)  # fmt: skip
_KEPT_SECONDS = 600
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")


def read_origins(text: str) -> tuple[str, ...]:
    """Origins apart by spaces, or `*` alone. Raises ValueError for what is no origin."""
    found = tuple(text.split())
    if ANY in found and len(found) > 1:
        raise ValueError("expected origins, or * alone")
    for each in found:
        if each != ANY and not _ORIGIN.fullmatch(each):
            raise ValueError(
                f"{each!r}: expected an origin as browsers send it, such as "
                "https://viewer.example.org: scheme, host in lower case and port, no path"
            )
    return found


def crossing(app: "ASGIApp", origins: tuple[str, ...]) -> "ASGIApp":
    """An application that pages of these origins may use; itself where there are none.

    Where any origin may, browsers send no cookies and no certificates of the user.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_REQUEST,
        expose_headers=_RESPONSE,
        allow_credentials=ANY not in origins,
        max_age=_KEPT_SECONDS,
    )
