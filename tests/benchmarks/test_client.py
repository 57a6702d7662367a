import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.client import Connection, ConnectionBroken

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Connection]:
    """A connection to a server that answers each request head with what the test writes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await answer(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(f"http://127.0.0.1:{port}/fhir")
    try:
        yield connection
    finally:
        connection.close()
        server.close()


def in_pieces(*pieces: bytes) -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    return answer


PLAIN = b"HTTP/1.1 200 OK\r\n"
CHUNKED = PLAIN + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [PLAIN + b"Content-Length: 5\r\n\r\nhello"],
        [PLAIN + b"content-length:5\r\n", b"\r\nhe", b"llo"],
        [CHUNKED + b"2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\n\r\n"],
        [CHUNKED + b"2\r\nh", b"e\r\n3\r", b"\nllo\r\n0\r", b"\n\r\n"],
    ],
    ids=["whole", "in pieces", "chunked", "chunked in pieces"],
)
async def test_body_is_read_whole_and_the_connection_kept(pieces: list[bytes]) -> None:
    async with answering(in_pieces(*pieces)) as connection:
        for _ in range(3):
            response = await connection.request("GET", "/Patient/1")
            assert (response.status, response.body) == (200, b"hello")


async def test_request_is_well_formed() -> None:
    heads = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")

    async with answering(answer) as connection:
        response = await connection.request(
            "POST", "/Patient", b"{}", b"Prefer: return=minimal\r\n"
        )
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"POST /fhir/Patient HTTP/1.1"
    assert {b"Content-Length: 2", b"Prefer: return=minimal"} <= set(lines)
    assert (response.status, response.body) == (201, b"")
    assert response.header(b"location") == b"/x"
    assert response.header(b"etag") == b""


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    ],
)
async def test_answer_without_a_body_does_not_wait_for_one(method: str, answer: bytes) -> None:
    async with answering(in_pieces(answer)) as connection:
        for _ in range(2):
            assert (await connection.request(method, "/Patient/1")).body == b""


async def test_connection_that_ends_early_is_an_error_and_opened_again() -> None:
    broken = iter([True, False])

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        if next(broken):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
            writer.close()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with answering(answer) as connection:
        with pytest.raises(ConnectionBroken, match="closed by the server"):
            await connection.request("GET", "/Patient/1")
        assert (await connection.request("GET", "/Patient/1")).body == b"ok"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["no status", "no length"]
)
async def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    async with answering(in_pieces(answer)) as connection:
        with pytest.raises(ConnectionBroken, match="not understood"):
            await connection.request("GET", "/Patient/1")


def test_only_plain_http_is_measured() -> None:
    with pytest.raises(ValueError, match="only http://"):
        Connection("https://example.org/fhir")
