"""Whoever tries passwords or secrets too often has to wait, wherever they try them."""

from collections.abc import AsyncIterator

import httpx
import pytest

from fhir_server.app import GUESSED_AT, build, protected_application
from fhir_server.http.body import Receive, Scope, Send
from fhir_server.http.guessing import slowed
from fhir_server.security.limiting import Buckets
from fhir_server.settings import Settings

ROOT = "http://localhost:8080"


@pytest.fixture
async def app(database: str) -> AsyncIterator[httpx.ASGITransport]:
    """A server that gives tokens, and stands 3 failures a minute."""
    settings = Settings(database_pool=4, authentication="embedded", failures_per_minute=3)
    found = build(settings, database)
    async with found.pages.router.lifespan_context(found.pages):
        whole = protected_application(found, settings)
        yield httpx.ASGITransport(app=whole, client=("192.0.2.1", 1))


WRONG = {"grant_type": "client_credentials", "client_id": "no-such", "client_secret": "guess"}


@pytest.mark.parametrize("path", GUESSED_AT)
async def test_an_address_that_guesses_has_to_wait(app: httpx.ASGITransport, path: str) -> None:
    async with httpx.AsyncClient(transport=app, base_url=ROOT) as client:
        found = [await client.post(path, data=WRONG) for _ in range(5)]
        assert [each.status_code == 429 for each in found] == [False] * 3 + [True] * 2
        assert found[-1].headers["retry-after"] == "20"
        assert found[-1].json()["issue"][0]["code"] == "throttled"
        # What needs no secret is answered all the same.
        assert (await client.get("/auth/jwks")).status_code == 200
        assert (await client.get("/fhir/metadata")).status_code == 200


async def test_neighbours_do_not_wait(app: httpx.ASGITransport) -> None:
    async with httpx.AsyncClient(transport=app, base_url=ROOT) as client:
        for _ in range(4):
            last = await client.post("/auth/token", data=WRONG)
    assert last.status_code == 429
    neighbour = httpx.ASGITransport(app=app.app, client=("192.0.2.2", 1))
    async with httpx.AsyncClient(transport=neighbour, base_url=ROOT) as client:
        assert (await client.post("/auth/token", data=WRONG)).status_code == 400


async def test_tokens_are_guessed_no_faster(app: httpx.ASGITransport) -> None:
    headers = {"Authorization": "Bearer a.b.c"}
    async with httpx.AsyncClient(transport=app, base_url=ROOT, headers=headers) as client:
        found = [(await client.get("/fhir/Patient")).status_code for _ in range(5)]
    assert found == [401] * 3 + [429] * 2


async def test_requests_are_counted_where_a_setting_says_so(database: str) -> None:
    settings = Settings(database_pool=4, requests_per_second=0.2)
    found = build(settings, database)
    async with (
        found.pages.router.lifespan_context(found.pages),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=found), base_url=ROOT) as client,
    ):
        answers = [await client.get("/fhir/Patient/none") for _ in range(4)]
        described = await client.get("/fhir/metadata")
    assert [each.status_code for each in answers] == [404, 404, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].json()["resourceType"] == "OperationOutcome"
    assert described.status_code == 200


@pytest.mark.parametrize(
    ("status", "counted"), [(303, False), (200, True), (403, True), (500, False)]
)
async def test_only_a_proof_that_was_refused_counts(status: int, counted: bool) -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    failures = Buckets(1, 1)
    assert failures.wait("192.0.2.1") == 0
    app = slowed(answers, {"/auth/login": 303}, failures)
    transport = httpx.ASGITransport(app=app, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=ROOT) as client:
        await client.get("/auth/login")
        await client.post("/elsewhere")
        assert failures.wait("192.0.2.1") == 0
        await client.post("/auth/login")
    assert (failures.wait("192.0.2.1") > 0) is counted
