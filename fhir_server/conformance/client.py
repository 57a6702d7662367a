"""Sends requests to the server under test, within bounds."""

import asyncio
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import httpx

from fhir_server import __version__
from fhir_server.conformance.content import Request, Response

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Characters of URLs that stay; what is escaped already stays too.
_SAFE = "%/?#[]@!$&'()*+,;=:~-._"

MEBIBYTE = 1024 * 1024


class NoAnswer(Exception):
    """A request that was not sent, or to which no whole answer came; says why."""


class Client:
    """Talks to one server, and to no other host unless it is allowed.

    token: sent as `Authorization: Bearer` to the hosts of base URLs only.
    allowed_hosts: further `host` or `host:port`, as scripts may lead there by absolute URLs.
    allow: how a person lets a further host in, for messages.
    headers: sent with every request, whatever a script says; their names in lower case.
    seconds: after which an answer is no longer awaited. most_bytes: of a body.
    Redirects are not followed: they are what the server answered.
    """

    def __init__(
        self,
        base_urls: list[str],
        *,
        token: str | None = None,
        allowed_hosts: tuple[str, ...] = (),
        allow: str = "--allow-host",
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
        most_bytes: int = 32 * MEBIBYTE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._own = {urlsplit(url).netloc for url in base_urls}
        self._allowed = self._own | set(allowed_hosts)
        self._allow = allow
        self._headers = headers or {}
        self._token = token
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._client = httpx.AsyncClient(
            timeout=seconds,
            transport=transport,
            follow_redirects=False,
            headers={"User-Agent": f"fhir-server-test/{__version__}", "Accept": "*/*"},
            trust_env=transport is None,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def send(self, request: Request) -> Response:
        """The answer to a request. Raises NoAnswer."""
        prepared = self._prepared(request)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                return await self._received(prepared, started)
        except TimeoutError:
            raise NoAnswer(f"no whole answer within {self._seconds:g} s") from None
        except httpx.TimeoutException:
            raise NoAnswer(f"no answer within {self._seconds:g} s") from None
        except httpx.ConnectError as error:
            raise NoAnswer(f"{prepared.url.netloc.decode()} cannot be reached: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise NoAnswer(f"no answer: {error or type(error).__name__}") from None

    def _prepared(self, request: Request) -> httpx.Request:
        if _CONTROL.search(request.url):
            raise NoAnswer("the URL has a control character, so it was not sent")
        try:
            host = urlsplit(request.url).netloc
        except ValueError as error:
            raise NoAnswer(f"{request.url!r} is no URL: {error}") from None
        if host not in self._allowed:
            raise NoAnswer(f"{host} is not the server under test; {self._allow} {host} lets it in")
        headers = [each for each in request.headers if each[0].lower() not in self._headers]
        headers += self._headers.items()
        if any(_CONTROL.search(field + value) for field, value in headers):
            raise NoAnswer("a header has a control character, so it was not sent")
        own = host in self._own
        if self._token and own and not any(each[0].lower() == "authorization" for each in headers):
            headers.append(("Authorization", f"Bearer {self._token}"))
        encoded = quote(request.url, safe=_SAFE)
        extensions = {}
        if not request.encode_url:
            target = request.url[len(host) + request.url.index("://") + 3 :] or "/"
            extensions["target"] = target.encode()
        try:
            prepared = self._client.build_request(
                request.method,
                encoded,
                headers=[(field.encode(), value.encode()) for field, value in headers],
                content=request.body or None,
                extensions=extensions,
            )
        except (httpx.InvalidURL, ValueError, UnicodeEncodeError) as error:
            raise NoAnswer(f"{request.url!r} is no URL that can be asked for: {error}") from None
        if not any(field.lower() == "accept" for field, _ in headers):
            del prepared.headers["Accept"]
        return prepared

    async def _received(self, prepared: httpx.Request, started: float) -> Response:
        answer = await self._client.send(prepared, stream=True)
        try:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > self._most_bytes:
                    most = self._most_bytes // MEBIBYTE
                    raise NoAnswer(
                        f"the answer ({answer.status_code}) has more than {most} MiB, so the rest"
                        " was not read"
                    )
        finally:
            await answer.aclose()
        seconds = time.monotonic() - started
        return Response(answer.status_code, answer.headers.multi_items(), bytes(body), seconds)
