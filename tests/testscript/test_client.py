import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from fhir_server.conformance.client import MEBIBYTE, Client, NoAnswer
from fhir_server.conformance.content import Request
from tests.conftest import free_port

Serve = Any


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A socket on which `serve(reader, writer)` answers; its base URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir"
    finally:
        for task in tasks:
            task.cancel()
        server.close()


async def asked(url: str, **options: Any) -> str:
    """Why there is no answer."""
    async with Client([url], **options) as client:
        with pytest.raises(NoAnswer) as caught:
            await client.send(Request("GET", f"{url}/Patient"))
    return str(caught.value)


async def test_a_server_that_is_not_there() -> None:
    assert "cannot be reached" in await asked(f"http://127.0.0.1:{free_port()}/fhir")


async def test_an_answer_without_end_is_cut_off() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        while sent < 100 * MEBIBYTE:
            writer.write(b" " * MEBIBYTE)
            await writer.drain()
            sent += MEBIBYTE

    async with serving(endless) as url:
        assert "has more than 2 MiB" in await asked(url, most_bytes=2 * MEBIBYTE)
    assert sent < 50 * MEBIBYTE


async def test_an_answer_that_dribbles_is_given_up() -> None:
    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    started = time.monotonic()
    async with serving(dribble) as url:
        assert "within 0.4 s" in await asked(url, seconds=0.4)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"],
)
async def test_half_an_answer_is_none(answer: bytes) -> None:
    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with serving(broken) as url:
        assert await asked(url)


async def test_a_redirect_is_the_answer_and_is_not_followed() -> None:
    times = 0

    async def redirect(writer: asyncio.StreamWriter) -> None:
        nonlocal times
        times += 1
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /fhir/Patient\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(redirect) as url, Client([url]) as client:
        answer = await client.send(Request("GET", f"{url}/Patient"))
    assert (answer.status, times) == (302, 1)


async def sent(url: str, **options: Any) -> httpx.Request:
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(respond)
    async with Client(["http://test/fhir"], transport=transport, **options) as client:
        await client.send(Request("GET", url))
    return requests[0]


async def test_the_token_goes_to_the_server_and_to_nobody_else() -> None:
    own = await sent("http://test/fhir/Patient", token="t")
    assert own.headers["Authorization"] == "Bearer t"
    allowed = await sent("http://else:80/x", token="t", allowed_hosts=("else:80",))
    assert "Authorization" not in allowed.headers
    with pytest.raises(NoAnswer, match="else is not the server under test"):
        await sent("http://else/x", token="t")


@pytest.mark.parametrize("url", ["http://test/a\nb", "http://test/a\r\nX: y", "http://[test/a"])
async def test_a_url_that_would_be_another_request_is_not_sent(url: str) -> None:
    with pytest.raises(NoAnswer):
        await sent(url)


async def test_what_a_url_cannot_hold_is_escaped_once() -> None:
    request = await sent("http://test/fhir/Patient?a=b|c d&e=%7C&f=ü")
    assert request.url.raw_path == b"/fhir/Patient?a=b%7Cc%20d&e=%7C&f=%C3%BC"


async def test_a_url_is_sent_as_it_is_when_the_script_says_so() -> None:
    lines: list[bytes] = []

    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(line, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir"
    async with Client([url]) as client:
        await client.send(Request("GET", f"{url}/Patient?a=b|c", encode_url=False))
    server.close()
    assert lines == [b"GET /fhir/Patient?a=b|c HTTP/1.1\r\n"]
