"""The whole application with listeners and destinations for HL7 v2, once for all of these tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON, free_port, fresh_database
from tests.messaging.certificates import self_signed
from tests.messaging.receiver import Receiver, receiving


@dataclass(frozen=True, slots=True)
class Hospital:
    """The server and what is around it.

    client: of its FHIR API. ports: of its listeners, by name. database: its URL.
    ris, lab, emr: scripted receivers: of imaging orders, of laboratory orders, and of reports and
    patients. certificates: the folder of those of the listener `secure` and of its client.
    """

    client: httpx.AsyncClient
    ports: dict[str, int]
    database: str
    ris: Receiver
    lab: Receiver
    emr: Receiver
    certificates: Path

    @property
    def port(self) -> int:
        """The port of the listener without settings of its own."""
        return self.ports["plain"]


LISTENERS = (
    {"name": "plain"},
    {"name": "orders", "order_answers": True},
    {"name": "release2", "commit_answers": True},
    {"name": "ignoring", "unknown": "ignore"},
    {"name": "production", "processing_ids": ["P"]},
    {
        "name": "strict",
        "max_frame_bytes": 2048,
        "max_connections": 2,
        "idle_seconds": 1,
        "frame_seconds": 1,
        "write_seconds": 1,
    },
    {"name": "closed", "allow": ["10.0.0.0/8"]},
)
_SENDS: dict[str, object] = {"host": "127.0.0.1", "facility": "HOSP", "answer_seconds": 2}
DESTINATIONS = (
    {"name": "ris", "application": "RIS", "sends": ["orders"], "order_types": ["imaging"]},
    {
        "name": "lab",
        "application": "LAB",
        "sends": ["orders"],
        "order_types": ["laboratory"],
        "order_message": "OML_O21",
        "most_attempts": 2,
    },
    {"name": "emr", "application": "EMR", "sends": ["reports", "patients"]},
)


def _file(factory: pytest.TempPathFactory, content: object) -> Path:
    path = factory.mktemp("hl7v2") / "hl7v2.yaml"
    path.write_text(json.dumps(content))
    return path


async def _indexed(client: httpx.AsyncClient) -> None:
    """Wait until one can search by the parameters that come with the server."""
    async with asyncio.timeout(120):
        query = "Communication?message-state=error"
        while (await client.get(query)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
async def hospital(
    postgres: str, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hospital]:
    """The application in this process, on a database of its own."""
    certificates = tmp_path_factory.mktemp("certificates")
    server, theirs = self_signed(certificates, "server"), self_signed(certificates, "client")
    tls = {
        "certificate": str(server.certificate),
        "key": str(server.key),
        "client_ca": str(theirs.certificate),
    }
    secure = {"name": "secure", "tls": tls}
    listeners = [each | {"port": free_port()} for each in (*LISTENERS, secure)]
    destinations = [_SENDS | each | {"port": free_port()} for each in DESTINATIONS]
    path = _file(tmp_path_factory, {"listeners": listeners, "destinations": destinations})
    receivers = [Receiver() for _ in destinations]
    with fresh_database(postgres, "messaging", migrated) as url:
        app = build(Settings(database_pool=10, mllp_config=path), url)
        async with AsyncExitStack() as stack:
            for receiver, destination in zip(receivers, destinations, strict=True):
                await stack.enter_async_context(receiving(receiver, int(str(destination["port"]))))
            await stack.enter_async_context(app.pages.router.lifespan_context(app.pages))
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app),
                    base_url="http://test/fhir/",
                    headers=FHIR_JSON,
                    timeout=60,
                )
            )
            await _indexed(client)
            ports = {str(each["name"]): int(str(each["port"])) for each in listeners}
            ris, lab, emr = receivers
            yield Hospital(client, ports, url, ris, lab, emr, certificates)
