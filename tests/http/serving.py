"""The application with settings of a test's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from fhir_server.app import build
from fhir_server.security.gate import Gate
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON


@asynccontextmanager
async def serving(
    settings: Settings,
    database_url: str,
    base_url: str = "http://test/fhir/",
    definition_folders: Sequence[Path] | None = None,
    gate: Gate | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a whole application in this process."""
    app = build(settings, database_url, definition_folders, gate)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=base_url, headers=FHIR_JSON
        ) as client,
    ):
        yield client
