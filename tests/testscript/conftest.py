from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings

SCRIPTS = Path(__file__).with_name("scripts")
BASE_URL = "http://test/fhir"


@pytest.fixture(scope="module")
async def application(database: str) -> AsyncIterator[httpx.ASGITransport]:
    """The whole application in this process, as something to send requests to."""
    app = build(Settings(database_pool=4), database)
    async with app.pages.router.lifespan_context(app.pages):
        yield httpx.ASGITransport(app=app)
