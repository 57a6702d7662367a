"""A server that believes everybody on its machine answers under that machine's names only."""

from collections.abc import AsyncIterator

import httpx
import pytest

from fhir_server.app import protected_application
from fhir_server.http.body import Receive, Scope, Send
from fhir_server.http.naming import named, names_of
from fhir_server.settings import Settings


async def _fine(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = named(_fine, names_of("https://fhir.example.org/fhir", None))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://localhost"
    ) as found:
        yield found


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "LOCALHOST",
        "127.0.0.1:8080",
        "[::1]:8080",
        "fhir.example.org",
    ],
)
async def test_its_own_names_are_answered(client: httpx.AsyncClient, host: str) -> None:
    for _ in range(2):
        assert (await client.get("/", headers={"Host": host})).status_code == 204


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.com", "", "[", "a@b", "0"],
)
async def test_other_names_are_not(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_names_do_not_matter_where_everybody_says_who_they_are() -> None:
    for way, status in (("off", 421), ("external", 204)):
        app = protected_application(_fine, Settings(authentication=way))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
            assert (await client.get("http://evil.example/")).status_code == status


async def test_a_proxy_that_is_trusted_may_tell_the_name() -> None:
    settings = Settings(trusted_proxies="127.0.0.1", base_url="https://fhir.example.org/fhir")
    app = protected_application(_fine, settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        told = {"X-Forwarded-Host": "fhir.example.org"}
        assert (await client.get("http://inner/", headers=told)).status_code == 204
