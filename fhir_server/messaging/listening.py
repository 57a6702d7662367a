"""Ports on which messages are received by MLLP, in every worker at once."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address

from fhir_server.messaging.connection import Budget, Conversation
from fhir_server.messaging.intake import Intake, Source
from fhir_server.messaging.settings import ListenerSettings

log = logging.getLogger(__name__)

_FINISH_WITHIN = 5.0
_READ_AT_ONCE = 65536


class Listening:
    """The listeners of one process; workers share their ports (SO_REUSEPORT)."""

    def __init__(
        self, listeners: Sequence[ListenerSettings], intake: Intake, *, max_buffered_bytes: int
    ) -> None:
        self._listeners = listeners
        self._intake = intake
        self._budget = Budget(max_buffered_bytes)
        self._open: dict[str, dict[asyncio.Task[None], Conversation]] = {
            each.name: {} for each in listeners
        }

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen inside the block; messages under way at its end are answered for a while yet."""
        servers: list[asyncio.Server] = []
        try:
            for each in self._listeners:
                servers.append(await self._listen(each))
                log.info("HL7 v2 listener %s at %s:%d", each.name, each.host, each.port)
            yield
        finally:
            for server in servers:
                server.close()
            await self._finish()

    async def _listen(self, listener: ListenerSettings) -> asyncio.Server:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._converse(listener, reader, writer)

        context = listener.tls.context() if listener.tls is not None else None
        return await asyncio.start_server(
            accepted,
            listener.host,
            listener.port,
            reuse_port=True,
            ssl=context,
            limit=_READ_AT_ONCE,
            ssl_handshake_timeout=10.0 if context is not None else None,
        )

    async def _converse(
        self,
        listener: ListenerSettings,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        open_ = self._open[listener.name]
        host = str((writer.get_extra_info("peername") or ("unknown",))[0])
        if not _is_allowed(listener, host):
            log.warning("%s may not connect to listener %s", host, listener.name)
            writer.transport.abort()
            return
        if len(open_) >= listener.max_connections:
            log.warning("listener %s has %d connections: no more", listener.name, len(open_))
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        _keep_alive(writer)
        source = Source(listener, _peer(host, writer))
        conversation = Conversation(reader, writer, source, self._intake, self._budget, _now)
        open_[task] = conversation
        try:
            await conversation.run()
        except asyncio.CancelledError:
            writer.transport.abort()
        except (ConnectionError, OSError) as error:
            log.info("connection of %s to %s ended: %s", source.peer, listener.name, error)
        finally:
            del open_[task]
            writer.close()
            with suppress(OSError, asyncio.CancelledError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _finish(self) -> None:
        tasks = {task for each in self._open.values() for task in each}
        for conversations in self._open.values():
            for conversation in conversations.values():
                conversation.end()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_FINISH_WITHIN)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _is_allowed(listener: ListenerSettings, host: str) -> bool:
    if not listener.allow:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in listener.allow)


def _peer(host: str, writer: asyncio.StreamWriter) -> str:
    """The address of a peer and, if it showed a certificate, the name in that."""
    certificate = writer.get_extra_info("peercert") or {}
    names = [
        value
        for part in certificate.get("subject", ())
        for name, value in part
        if name == "commonName"
    ]
    return " ".join([host, *(f"CN={each}" for each in names)])


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
