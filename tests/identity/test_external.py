"""A server that believes an OpenID provider: its tokens open the door of FHIR."""

import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.identity.provider import AUDIENCE, Provider, ec_key, rsa_key, running_provider

ROOT = "http://localhost:8080"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider(rsa_key("rsa"), ec_key("ec")) as found:
        yield found


@pytest.fixture(scope="module")
async def client(database: str, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database_pool=4,
        authentication="external",
        token_issuer=provider.issuer,
        token_audience=AUDIENCE,
        audit="off",
    )
    app = build(settings, database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(transport=transport, base_url=ROOT) as found,
    ):
        yield found


async def asked(client: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    sent = {"Authorization": f"Bearer {token}"} | headers
    return await client.get("/fhir/Patient", headers=sent)


async def test_a_token_of_the_provider_opens_the_door(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    claims = provider.claims(roles=["doctor"], scope="user/*.rs")
    assert (await asked(client, provider.token(claims))).status_code == 200
    ec = provider.token(claims, provider.keys[1], "ES256")
    assert (await asked(client, ec)).status_code == 200


async def test_scopes_limit_what_roles_grant(client: httpx.AsyncClient, provider: Provider) -> None:
    for scope in ("user/Observation.rs", "openid profile", "", "user/*.read!"):
        claims = provider.claims(roles=["doctor"], scope=scope)
        assert (await asked(client, provider.token(claims))).status_code == 403, scope


async def test_roles_limit_what_scopes_grant(client: httpx.AsyncClient, provider: Provider) -> None:
    for roles in ([], ["king"], None):
        claims = provider.claims(roles=roles, scope="user/*.cruds")
        assert (await asked(client, provider.token(claims))).status_code == 403, roles


async def test_a_territory_that_is_not_the_tokens_is_refused(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    claims = provider.claims(roles=["doctor"], scope="user/*.rs", tenants=["north"])
    assert (await asked(client, provider.token(claims))).status_code == 403
    own = provider.claims(roles=["doctor"], scope="user/*.rs")
    answer = await asked(client, provider.token(own), **{"X-Tenant": "north"})
    assert answer.status_code == 403


async def test_an_expired_token_says_so(client: httpx.AsyncClient, provider: Provider) -> None:
    claims = provider.claims(roles=["doctor"], exp=int(time.time()) - 100)
    answer = await asked(client, provider.token(claims))
    assert answer.status_code == 401
    assert "expired" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("scheme", ["Basic", "bearer-x", "", "Negotiate"])
async def test_other_schemes_are_not_taken(
    client: httpx.AsyncClient, provider: Provider, scheme: str
) -> None:
    token = provider.token(provider.claims(roles=["doctor"], scope="user/*.rs"))
    answer = await client.get("/fhir/Patient", headers={"Authorization": f"{scheme} {token}"})
    assert answer.status_code == 401


async def test_programs_are_sent_to_the_provider(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    answer = await client.get("/fhir/.well-known/smart-configuration")
    assert answer.status_code == 200
    assert answer.json()["jwks_uri"] == f"{provider.issuer}/keys"
    statement = (await client.get("/fhir/metadata")).json()
    assert statement["rest"][0]["security"]["service"][0]["text"] == "SMART on FHIR"


@pytest.mark.parametrize("path", ["/auth/authorize", "/auth/token", "/auth/login", "/auth/jwks"])
async def test_no_tokens_are_had_here(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
    assert (await client.post(path)).status_code == 404
