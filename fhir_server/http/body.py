"""Reading a request's body within its limit."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fhir_server.outcome import Issue, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]


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


def _too_large(most: int) -> Refusal:
    text = f"The request's body is larger than the {most} bytes that are taken"
    return Refusal(Issue("too-long", text), status=413, headers={"Connection": "close"})
