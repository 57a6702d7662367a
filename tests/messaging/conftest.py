"""The whole application with listeners for HL7 v2."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON, free_port


@dataclass(frozen=True, slots=True)
class Hospital:
    """The server: a client of its FHIR API, and the ports of its listeners by name."""

    client: httpx.AsyncClient
    ports: dict[str, int]

    @property
    def port(self) -> int:
        """The port of the listener without settings of its own."""
        return self.ports["plain"]


@pytest.fixture(scope="module")
def listeners() -> list[dict[str, Any]]:
    """Listeners beside the plain one; modules say others."""
    return []


@pytest.fixture(scope="module")
def messaging() -> dict[str, Any]:
    """Further settings of the file, such as destinations."""
    return {}


@pytest.fixture(scope="module")
async def hospital(
    database: str,
    listeners: list[dict[str, Any]],
    messaging: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Hospital]:
    """The application in this process, on the module's database."""
    path: Path = tmp_path_factory.mktemp("hl7v2") / "hl7v2.yaml"
    found = [{"name": "plain"}, *listeners]
    found = [{"port": free_port()} | each for each in found]
    path.write_text(json.dumps(messaging | {"listeners": found}))
    settings = Settings(database_pool=8, mllp_config=path)
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
        yield Hospital(client, {each["name"]: each["port"] for each in found})
