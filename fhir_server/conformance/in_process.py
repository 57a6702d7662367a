"""Carries requests for this server itself into its application, without the network."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

_Message = MutableMapping[str, Any]
Application = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]


class InProcess(httpx.AsyncBaseTransport):
    """A transport to one's own application below a base URL, and by the network to other hosts.

    base_url: of this server as clients see it; whoever it belongs to in truth, no request for its
        host leaves the process. path: where the application has its FHIR base.
    """

    def __init__(self, application: Application, base_url: str, path: str) -> None:
        self._base = httpx.URL(base_url)
        self._path = path
        self._own = httpx.ASGITransport(application)
        self._network = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.netloc != self._base.netloc:
            return await self._network.handle_async_request(request)
        target = request.url.raw_path.decode("ascii")
        below = self._base.raw_path.decode("ascii").rstrip("/")
        rest = target.removeprefix(below)
        if not target.startswith(below) or rest[:1] not in ("", "/", "?"):
            return httpx.Response(404, text=f"There is nothing beside {self._base}")
        request.url = request.url.copy_with(raw_path=f"{self._path}{rest}".encode("ascii"))
        return await self._own.handle_async_request(request)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._network.aclose()
