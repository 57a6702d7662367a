"""Headers that keep browsers and caches from doing more with an answer than they should."""

import re
from base64 import b64encode
from hashlib import sha256

import httpx
import pytest

from fhir_server.http.protection import protection
from fhir_server.settings import Settings
from tests.http.serving import serving

ROOT = "http://test"

_EXPECTED = {
    "server": "fhir-server",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture(scope="module", autouse=True)
async def stored(client: httpx.AsyncClient) -> None:
    """One patient, and one that was deleted."""
    for name in ("p", "gone"):
        await client.put(f"Patient/{name}", json={"resourceType": "Patient", "id": name})
    await client.delete("Patient/gone")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir/Patient/p", 200),
        ("HEAD", "/fhir/Patient/p", 200),
        ("GET", "/fhir/Patient", 200),
        ("GET", "/fhir/metadata", 200),
        ("GET", "/fhir/Patient/none", 404),
        ("GET", "/fhir/Patient/gone", 410),
        ("PUT", "/fhir/Patient/p", 400),
        ("GET", "/fhir/Patient?no-such=1", 400),
        ("GET", "/fhir/Patient?name=%ff", 400),
        ("GET", "/", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nothing", 404),
        ("POST", "/metrics", 405),
    ],
)
async def test_every_answer_is_protected(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, ROOT + path)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in _EXPECTED} == _EXPECTED
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "strict-transport-security" not in answer.headers
    names = [name for name, _ in answer.headers.multi_items()]
    assert len(names) == len(set(names))


async def test_a_client_that_has_a_resource_is_still_told_so(client: httpx.AsyncClient) -> None:
    tag = (await client.get("Patient/p")).headers["etag"]
    again = await client.get("Patient/p", headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "no-store"


async def test_the_landing_page_allows_its_own_style_alone(client: httpx.AsyncClient) -> None:
    page = await client.get(ROOT)
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert "style=" not in page.text
    assert "<script" not in page.text


@pytest.mark.parametrize("path", ["/", "/fhir/metadata", "/nothing"])
async def test_https_is_demanded_for_the_future_where_it_is_served(
    database: str, path: str
) -> None:
    settings = Settings(database_pool=2, base_url="https://fhir.example.org/fhir")
    async with serving(settings, database) as client:
        answer = await client.get(ROOT + path)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("url", [None, "http://fhir.example.org/fhir", "https://localhost/fhir"])
def test_https_is_not_demanded_of_others(url: str | None) -> None:
    assert b"strict-transport-security" not in dict(protection(url))
