"""The whole application behind a gate that asks for tokens, and clients that have some."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key

from fhir_server.app import build
from fhir_server.identity.authenticator import Remembering
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.tokens import Trusted, Verifier
from fhir_server.security.gate import TokenGate
from fhir_server.security.policy import Policy
from fhir_server.settings import Settings
from fhir_server.spec import definitions
from tests.conftest import FHIR_JSON

BASE = "http://test/fhir"
ISSUER = "https://issuer.example.org"
KEY = ECKey.generate_key("P-256", {"kid": "1"}, auto_kid=False)


class OwnKeys:
    async def of(self, algorithm: str, kid: str | None) -> Key | None:
        return KEY


def token(roles: tuple[str, ...] = (), scope: str | None = None, **claims: Any) -> str:
    """A token that the gate accepts."""
    now = int(time.time())
    given = {"iss": ISSUER, "aud": BASE, "sub": "somebody", "iat": now, "exp": now + 3600}
    given |= {"roles": list(roles)} | claims
    if scope is not None:
        given["scope"] = scope
    return jwt.encode({"alg": "ES256", "kid": "1"}, given, KEY, algorithms=["ES256"])


@pytest.fixture(scope="session")
def gate() -> TokenGate:
    issuer = Issuer(issuer=ISSUER, audience=(BASE,), scopes_required=False)
    verifier = Verifier({ISSUER: Trusted(issuer, OwnKeys())})
    policy = Policy.read(None, definitions())
    return TokenGate(Remembering(verifier, BASE), policy, lambda: ("default",))


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
