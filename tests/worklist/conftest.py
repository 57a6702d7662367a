"""The whole application with its DICOM server, in this process, and modalities that call it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from fhir_server.app import build
from fhir_server.interactions.engine import Engine
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON, free_port
from tests.indexing.workers import searchable

TITLE = "LABWORK"


@dataclass(frozen=True, slots=True)
class House:
    """A server: a client of it, where modalities call, and its parts."""

    client: httpx.AsyncClient
    port: int
    engine: Engine


@pytest.fixture(scope="module")
async def house(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A server that any modality may ask; OLDCT knows Latin-1 only, ASCII ASCII only."""
    port = free_port()
    settings = Settings(
        database_pool=8,
        audit="on",
        audit_dir=tmp_path_factory.mktemp("audit"),
        time_zone="Europe/Berlin",
        worklist_port=port,
        worklist_title=TITLE,
        worklist_stations="CT1, MR1, XR1, FINDSCU, PYNETDICOM, OLDCT=ISO_IR 100, ASCII=ISO_IR 6",
    )
    # No test waits for what is made beforehand.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("fhir_server.worklist.scp._MADE_EVERY_SECONDS", 0.2)
    app = build(settings, database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60
        ) as client,
    ):
        await searchable(client, "Task?order-type=imaging", within=120)
        yield House(client, port, app.engine)
    monkeypatch.undo()
