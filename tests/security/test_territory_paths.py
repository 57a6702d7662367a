"""Choosing a territory by path or header."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import psycopg
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from fhir_server.storage.migrate import migrate
from tests.conftest import FHIR_JSON

MISMATCH = "TERRITORY_MISMATCH"


@pytest.fixture(scope="module")
def definition_folders() -> Sequence[Path]:
    """None: what tenants get is not looked at here."""
    return ()


@pytest.fixture(scope="module")
async def tenants(
    database: str, definition_folders: Sequence[Path]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server with the tenants default and north, at its root."""
    migrate(database, "north")
    app = build(Settings(database_pool=8), database, definition_folders)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://test", headers=FHIR_JSON, timeout=60,
        ) as found,
    ):  # fmt: skip
        yield found


def code_of(answer: httpx.Response) -> str:
    """What the first issue of an OperationOutcome is called."""
    return str(answer.json()["issue"][0]["details"]["coding"][0]["code"])


async def test_path_and_header_choose_the_same_territory(tenants: httpx.AsyncClient) -> None:
    patient = {"resourceType": "Patient", "id": "chosen"}
    answer = await tenants.put("/t/north/fhir/Patient/chosen", json=patient)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "http://test/t/north/fhir/Patient/chosen/_history/1"
    by_header = {"X-Tenant": "north"}
    found = [
        (await tenants.get(path, headers=headers)).status_code
        for path, headers in (
            ("/t/north/fhir/Patient/chosen", {}),
            ("/t/north/fhir/Patient/chosen", by_header),
            ("/fhir/Patient/chosen", by_header),
            ("/fhir/Patient/chosen", {}),
            ("/fhir/Patient/chosen", {"X-Tenant": "default"}),
            ("/t/default/fhir/Patient/chosen", {}),
        )
    ]
    assert found == [200, 200, 200, 404, 404, 404]


async def test_links_of_a_page_stay_below_the_path(tenants: httpx.AsyncClient) -> None:
    for number in range(3):
        patient = {"resourceType": "Patient", "id": f"link{number}", "active": True}
        await tenants.put(f"/t/north/fhir/Patient/link{number}", json=patient)
    answer = (await tenants.get("/t/north/fhir/Patient?active=true&_count=2")).json()
    urls = [link["url"] for link in answer["link"]]
    urls += [entry["fullUrl"] for entry in answer["entry"]]
    assert len(urls) >= 4
    assert [url for url in urls if not url.startswith("http://test/t/north/fhir")] == []
    following = next(link["url"] for link in answer["link"] if link["relation"] == "next")
    assert len((await tenants.get(following)).json()["entry"]) == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/t/south/fhir/Patient/1", {}),
        ("/fhir/Patient/1", {"X-Tenant": "south"}),
        ("/fhir/Patient/1", {"X-Tenant": ""}),
        ("/fhir/Patient/1", {"X-Tenant": 'a"; drop'}),
        ("/fhir/Patient/1", {"X-Tenant": "north, default"}),
        ("/t/south/fhir/Patient?_count=0", {}),
        ("/t/north/fhir/Patient/1", {"X-Tenant": "default"}),
    ],
)
async def test_another_territory_is_one_and_the_same_refusal(
    tenants: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await tenants.get(path, headers=headers)
    assert answer.status_code == 403
    assert code_of(answer) == MISMATCH


@pytest.mark.parametrize(
    "path",
    ["/t/north", "/t/north/", "/t/NORTH/fhir/Patient", "/t/north/metrics", "/t//fhir/Patient",
     "/%74/north/fhir/Patient", "/t/north/fhirx", "/t/n%6Frth/fhir/Patient/1"],
)  # fmt: skip
async def test_what_is_no_territory_has_nothing(tenants: httpx.AsyncClient, path: str) -> None:
    answer = await tenants.get(path)
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_a_tenant_that_leaves_is_not_served_any_more(
    tenants: httpx.AsyncClient, database: str
) -> None:
    migrate(database, "leaving")
    with psycopg.connect(database, autocommit=True) as connection:
        await _until(tenants, 200)
        connection.execute("update fhir_server.tenant set state = 'leaving' where name = 'leaving'")
        connection.execute("select pg_notify('fhir_server_tenant', '')")
        await _until(tenants, 403)


async def _until(client: httpx.AsyncClient, status: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answer = await client.get("/t/leaving/fhir/Patient?_summary=count")
        if answer.status_code == status:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(answer.text)


async def test_health_counts_territories_and_names_none(tenants: httpx.AsyncClient) -> None:
    answer = await tenants.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["territories"] >= 2
    assert answer.json()["territories-waiting"] == 0
    assert "north" not in answer.text
