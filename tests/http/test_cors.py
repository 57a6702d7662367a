"""Pages of other origins: which may use the server, and what browsers let them read."""

from collections.abc import AsyncIterator

import httpx
import pytest

from fhir_server.app import build
from fhir_server.http.cors import crossing, read_origins
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON

VIEWER = "https://viewer.example.org"
DOORS = ("/fhir/Patient", "/dicom-web/studies", "/dicom/uploads", "/health/live", "/openapi.json")


@pytest.fixture(scope="module")
async def listed(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A server that one viewer may use."""
    app = build(Settings(database_pool=4), database)
    transport = httpx.ASGITransport(app=crossing(app, (VIEWER, "http://localhost:3000")))
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(transport=transport, base_url="http://test", headers=FHIR_JSON) as found,
    ):
        yield found


def preflight(origin: str, method: str, headers: str = "authorization") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


def names(answer: httpx.Response, header: str) -> set[str]:
    return {each.strip().lower() for each in answer.headers[header].split(",")}


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_listed_origin_may_ask_every_door(
    listed: httpx.AsyncClient, path: str, method: str
) -> None:
    answer = await listed.options(path, headers=preflight(VIEWER, method))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == VIEWER
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert method.lower() in names(answer, "access-control-allow-methods")
    assert "origin" in names(answer, "vary")


@pytest.mark.parametrize(
    "header",
    ["authorization", "content-type", "if-match", "if-none-exist", "prefer", "x-request-id"],
)
async def test_headers_of_fhir_may_be_sent(listed: httpx.AsyncClient, header: str) -> None:
    answer = await listed.options("/fhir/Patient", headers=preflight(VIEWER, "POST", header))
    assert answer.status_code == 200
    assert header in names(answer, "access-control-allow-headers")


@pytest.mark.parametrize(
    "origin",
    ["https://viewer.example.org.evil.example", "http://viewer.example.org", "null",
     "https://viewer.example.org:8443", ""],
)  # fmt: skip
async def test_another_origin_is_refused(listed: httpx.AsyncClient, origin: str) -> None:
    answer = await listed.options("/fhir/Patient", headers=preflight(origin, "GET"))
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
    answer = await listed.get("/fhir/Patient", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


async def test_scripts_may_read_what_fhir_tells_in_headers(listed: httpx.AsyncClient) -> None:
    answer = await listed.post(
        "/fhir/Patient", json={"resourceType": "Patient"}, headers={"Origin": VIEWER}
    )
    assert answer.status_code == 201
    shown = names(answer, "access-control-expose-headers")
    assert {"etag", "location", "last-modified", "x-request-id"} <= shown & set(answer.headers)
    assert {"content-location", "link", "www-authenticate", "retry-after", "warning"} <= shown
    assert answer.headers["access-control-allow-origin"] == VIEWER
    assert names(answer, "vary") == {"accept", "origin"}


async def test_refusals_can_be_read_too(listed: httpx.AsyncClient) -> None:
    for path in ("/fhir/Patient/absent", "/fhir/Nothing", "/nothing"):
        answer = await listed.get(path, headers={"Origin": VIEWER})
        assert answer.status_code == 404
        assert answer.headers["access-control-allow-origin"] == VIEWER


async def test_who_is_no_browser_notices_nothing(listed: httpx.AsyncClient) -> None:
    answer = await listed.get("/fhir/metadata")
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    # What caches keep for one may not be given to another.
    assert "origin" in names(answer, "vary")


async def test_any_origin_gets_no_credentials(database: str) -> None:
    app = build(Settings(database_pool=4), database)
    transport = httpx.ASGITransport(app=crossing(app, ("*",)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for answer in (
            await client.options("/fhir/Patient", headers=preflight("null", "GET")),
            await client.get("/health/live", headers={"Origin": VIEWER, "Cookie": "a=b"}),
        ):
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers


async def test_no_origin_may_by_default(client: httpx.AsyncClient, database: str) -> None:
    app = build(Settings(), database)
    assert crossing(app, Settings().origins) is app
    answer = await client.get("metadata", headers={"Origin": VIEWER})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "text",
    ["viewer.example.org", "https://viewer.example.org/", "https://Viewer.example.org",
     "https://*.example.org", "* https://viewer.example.org", "null", "ftp://host",
     "https://user@host", "https://host:"],
)  # fmt: skip
def test_what_no_browser_sends_as_origin_is_no_setting(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_origins(text)


def test_origins_are_read() -> None:
    text = " https://viewer.example.org http://localhost:3000  http://[::1]:3000 "
    assert read_origins(text) == tuple(text.split())
    assert read_origins("") == ()


@pytest.mark.parametrize("origins", [None, VIEWER])
async def test_the_capability_statement_says_whether_other_origins_may_ask(
    database: str, origins: str | None
) -> None:
    app = build(Settings(database_pool=4, cors_origins=origins), database)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://test", headers=FHIR_JSON
        ) as client,
    ):
        (rest,) = (await client.get("/fhir/metadata")).json()["rest"]
    assert rest["security"] == {"cors": origins is not None}
