"""HL7 v2 messages are encrypted as they are stored, and shown to those who may see them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from fhir_server.app import build
from fhir_server.sealing.master import create_key_file
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON, free_port
from tests.messaging.mllp import peer
from tests.messaging.samples import adt, number
from tests.sealing.serving import places_of, settled

SENTINEL = "zyxsentinel"


@asynccontextmanager
async def listening(
    database: str, port: int, keys: Path | None
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database_pool=8,
        mllp_port=port,
        seal_elements="default" if keys else None,
        seal_keys=str(keys) if keys else None,
    )
    app = build(settings, database)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://test/fhir/",
            headers=FHIR_JSON,
            timeout=60,
        ) as client,
    ):
        yield client


def message() -> bytes:
    """An admission that says why."""
    return adt(number("MRN")) + f"DG1|1||{SENTINEL}^{SENTINEL} text^I10\r".encode()


async def send(port: int, content: bytes) -> None:
    async with peer(port) as sender:
        await sender.send(content)
        assert b"\rMSA|AA|" in await sender.answer()


async def shown(client: httpx.AsyncClient) -> list[str]:
    """All messages, as they came."""
    found = await client.get("Communication?_count=100")
    texts = []
    for entry in found.json().get("entry", ()):
        answer = await client.get(f"Communication/{entry['resource']['id']}/$hl7v2-message")
        assert answer.status_code == 200, answer.text
        texts.append(answer.text)
    return texts


async def test_what_is_received_is_encrypted_and_what_was_is_when_it_is_switched_on(
    own_database: str, tmp_path: Path
) -> None:
    port, keys = free_port(), tmp_path / "master"
    create_key_file(keys)
    async with listening(own_database, port, None) as client:
        await send(port, message())
    assert "message.content" in places_of(own_database, SENTINEL)
    async with listening(own_database, port, keys) as client:
        assert (await settled(client))["sealed"]["valueBoolean"]
        assert "message.content" not in places_of(own_database, SENTINEL)
        await send(port, message())
        assert places_of(own_database, SENTINEL) == []
        texts = await shown(client)
        assert len(texts) == 2
        assert all(SENTINEL in text for text in texts)
