"""A scripted receiver: a RIS or a laboratory that answers what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fhir_server.hl7v2.framing import Frame, Framer, framed
from fhir_server.hl7v2.message import Message, parse
from tests.messaging.mllp import hl7

# From what came to the answer; None for no answer at all.
Script = Callable[[Message], bytes | None]


def acknowledged(message: Message, code: str = "AA", text: str = "") -> bytes:
    """An acknowledgement of a message."""
    control_id = message.value("MSH-10")
    return hl7(
        f"MSH|^~\\&|RIS|HOSP|FHIR-SERVER||20260101||ACK|R{control_id}|P|2.5.1",
        f"MSA|{code}|{control_id}|{text}",
    )


@dataclass(slots=True)
class Receiver:
    """What has come so far; `script` may be changed while it runs."""

    script: Script = acknowledged
    messages: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    @property
    def waiting(self) -> list[Message]:
        """What came and nobody looked at."""
        found = [self.messages.get_nowait() for _ in range(self.messages.qsize())]
        for each in found:
            self.messages.put_nowait(each)
        return found

    async def next(self, within: float = 30) -> Message:
        """The next message that comes."""
        async with asyncio.timeout(within):
            return await self.messages.get()

    async def of(self, mrn: str, type_: str = "") -> Message:
        """The next message about a patient, of a type if one is named; others are passed over."""
        while True:
            message = await self.next()
            if message.value("PID-3.1") == mrn and type_ in ("", message.value("MSH-9.1")):
                return message

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        framer = Framer()
        while data := await reader.read(65536):
            for event in framer.feed(data):
                assert isinstance(event, Frame), event
                message = parse(event.payload)
                await self.messages.put(message)
                answer = self.script(message)
                if answer is None:
                    writer.close()
                    return
                writer.write(framed(answer))
                await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(receiver: Receiver, port: int) -> AsyncIterator[None]:
    """Let a receiver listen inside the block."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
