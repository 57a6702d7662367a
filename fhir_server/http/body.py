"""Reading a request's body within its limit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from fhir_server.outcome import Issue, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]


# A body may take long, but not stand still.
_IDLE_SECONDS = 60.0


class ClientGone(Exception):
    """The client closed the connection before its request was read."""


async def read_body(receive: Receive, declared: str | None, most: int) -> bytes:
    """The whole body.

    declared: the Content-Length header. Raises a 413 `Refusal` before reading more than `most`
    bytes, so that memory stays flat whatever is sent.
    """
    if declared is not None and declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def steady(body: AsyncIterator[bytes], within: float = _IDLE_SECONDS) -> AsyncIterator[bytes]:
    """A body of any length, as long as it goes on.

    within: seconds that its next piece may take. Raises a 408 `Refusal` when that takes longer.
    """
    pieces = aiter(body)
    while True:
        try:
            async with asyncio.timeout(within):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            text = f"Nothing came of the request's body for {within:g} seconds"
            raise Refusal(
                Issue("timeout", text), status=408, headers={"Connection": "close"}
            ) from None
        yield piece


def _too_large(most: int) -> Refusal:
    text = f"The request's body is larger than the {most} bytes that are taken"
    return Refusal(Issue("too-long", text), status=413, headers={"Connection": "close"})
