"""Sending by MLLP: one message, then its acknowledgement."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from fhir_server.hl7v2.framing import Frame, Framer, framed
from fhir_server.hl7v2.message import Message, NoHeader, parse

_CLOSE_WITHIN = 1.0
_READ_AT_ONCE = 65536
_LARGEST_ANSWER = 1024 * 1024


class NoAnswer(Exception):
    """A receiver that is out of reach, or does not answer in time; says which.

    reached: whether the message may have come there.
    """

    def __init__(self, text: str, *, reached: bool) -> None:
        super().__init__(text)
        self.reached = reached


@dataclass(slots=True)
class Client:
    """A connection to a receiver, made when needed and kept.

    connect_seconds, answer_seconds: how long is waited.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def ask(self, content: bytes, control_id: str) -> Message:
        """Send a message and give the acknowledgement whose MSA-2 names it.

        Other frames that come meanwhile are passed over. Raises NoAnswer; the connection is not
        used again then.
        """
        fresh = self._streams is None
        try:
            return await self._exchange(content, control_id)
        except NoAnswer as failure:
            await self.close()
            if fresh or failure.reached:
                raise
        # The receiver had closed the idle connection, which is its right.
        try:
            return await self._exchange(content, control_id)
        except NoAnswer:
            await self.close()
            raise

    async def _exchange(self, content: bytes, control_id: str) -> Message:
        reader, writer = await self._connected()
        try:
            if reader.at_eof():
                raise NoAnswer("the receiver had closed the connection", reached=False)
            writer.write(framed(content))
            async with asyncio.timeout(self.answer_seconds):
                await writer.drain()
                return await _answer(reader, control_id)
        except TimeoutError:
            text = f"no acknowledgement within {self.answer_seconds:g} seconds"
            raise NoAnswer(text, reached=True) from None
        except OSError as error:
            raise NoAnswer(f"the connection broke: {error}", reached=True) from None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            try:
                async with asyncio.timeout(self.connect_seconds):
                    self._streams = await asyncio.open_connection(
                        self.host, self.port, ssl=self.tls, server_hostname=self._name()
                    )
            except TimeoutError:
                text = f"{self.host}:{self.port} does not accept a connection in time"
                raise NoAnswer(text, reached=False) from None
            except OSError as error:
                text = f"{self.host}:{self.port}: {error}"
                raise NoAnswer(text, reached=False) from None
        return self._streams

    def _name(self) -> str | None:
        return (self.server_name or self.host) if self.tls is not None else None

    async def close(self) -> None:
        """End the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await streams[1].wait_closed()


async def _answer(reader: asyncio.StreamReader, control_id: str) -> Message:
    framer = Framer(_LARGEST_ANSWER)
    while data := await reader.read(_READ_AT_ONCE):
        for event in framer.feed(data):
            if isinstance(event, Frame):
                try:
                    message = parse(event.payload)
                except NoHeader:
                    continue
                if message.value("MSA-2") == control_id:
                    return message
    raise NoAnswer("the receiver closed the connection without an acknowledgement", reached=True)
