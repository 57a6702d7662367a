"""The whole application behind a gate that asks for tokens, and clients that have some."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from fhir_server.app import build
from fhir_server.security.gate import TokenGate
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON
from tests.tokens import BASE, token, token_gate


@pytest.fixture(scope="session")
def gate() -> TokenGate:
    return token_gate()


As = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="module")
async def someone(database: str, gate: TokenGate) -> AsyncIterator[As]:
    """Makes clients: by roles, scopes and claims; without any, one that has no token."""
    app = build(Settings(database_pool=8, base_url=BASE), database, gate=gate)
    clients: list[httpx.AsyncClient] = []

    def client(*roles: str, scope: str | None = None, **claims: Any) -> httpx.AsyncClient:
        headers = dict(FHIR_JSON)
        if roles or scope is not None or claims:
            headers["Authorization"] = f"Bearer {token(roles, scope, **claims)}"
        found = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=BASE + "/", headers=headers, timeout=60
        )
        clients.append(found)
        return found

    async with app.pages.router.lifespan_context(app.pages):
        yield client
        for each in clients:
            await each.aclose()
