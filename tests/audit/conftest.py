"""The whole application with an audit trail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from fhir_server.app import build
from fhir_server.http.pages import Application
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON


@asynccontextmanager
async def audited(database: str, folder: Path) -> AsyncIterator[Application]:
    """The application with its journals in a folder, for the length of the block."""
    settings = Settings(database_pool=8, audit="on", audit_dir=folder)
    app = build(settings, database)
    async with app.pages.router.lifespan_context(app.pages):
        yield app


def client_of(app: Application) -> httpx.AsyncClient:
    """A client of an application in this process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://test/fhir/",
        headers=FHIR_JSON,
        timeout=60,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the journals of the module's application are."""
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
async def app(database: str, folder: Path) -> AsyncIterator[Application]:
    """The application, on the module's database."""
    async with audited(database, folder) as found:
        yield found


@pytest.fixture(scope="module")
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    async with client_of(app) as found:
        yield found
