"""The other end of an MLLP connection, and messages to be sent on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fhir_server.hl7v2.framing import Frame, Framer, framed
from fhir_server.hl7v2.message import Message, parse


def hl7(*segments: str) -> bytes:
    """A message of segments."""
    return "".join(f"{each}\r" for each in segments).encode()


@dataclass(slots=True)
class Peer:
    """A sender on a connection of its own."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    framer: Framer
    events: list[Frame]

    async def send(self, content: bytes) -> None:
        """Send a message."""
        self.writer.write(framed(content))
        await self.writer.drain()

    async def answer(self, within: float = 30) -> bytes:
        """The next frame that comes; an EOFError if the connection ends."""
        async with asyncio.timeout(within):
            while not self.events:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError
                self.events += [e for e in self.framer.feed(data) if isinstance(e, Frame)]
        return self.events.pop(0).payload

    async def ask(self, content: bytes) -> Message:
        """Send a message and read its answer."""
        await self.send(content)
        return parse(await self.answer())

    async def is_over(self, within: float = 30) -> bool:
        """Whether the other side ends the connection without a word."""
        try:
            await self.answer(within)
        except (EOFError, ConnectionError):
            return True
        return False


@asynccontextmanager
async def peer(port: int, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    """A connection to a listener."""
    reader, writer = await connected(port, host)
    try:
        yield Peer(reader, writer, Framer(), [])
    finally:
        writer.close()


async def connected(
    port: int, host: str = "127.0.0.1", within: float = 30
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, made as soon as somebody listens."""
    async with asyncio.timeout(within):
        while True:
            try:
                return await asyncio.open_connection(host, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
