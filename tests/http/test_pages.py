"""The pages beside FHIR, for people and for what watches the server."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fhir_server.http import pages
from fhir_server.interactions.registry import INTERACTIONS
from fhir_server.operations.registry import operation_routes
from fhir_server.security.gate import OpenGate
from fhir_server.settings import Settings
from fhir_server.spec import definitions
from tests.answers import refusal_of
from tests.conftest import free_port
from tests.http.serving import serving

ROOT = "http://test"


@pytest.fixture
async def without_database() -> AsyncIterator[httpx.AsyncClient]:
    """A server whose database is down."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    async with serving(Settings(database_pool=2), url) as found:
        yield found


async def test_the_landing_page_says_what_is_in_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_COUNTS_KEPT_SECONDS", 0)
    empty = await client.get(ROOT)
    assert "fhir-server load FILE" in empty.text
    for number in range(3):
        body = {"resourceType": "Patient", "id": f"p{number}"}
        await client.put(f"Patient/p{number}", json=body)
    await client.delete("Patient/p2")
    page = await client.get(ROOT)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<a href="http://test/fhir/Patient?_pretty=true">Patient</a>' in page.text
    assert '<td class="number">2</td>' in page.text
    for link in ("/openapi.json", "/metrics", "/health/live", "/health/ready"):
        assert f'href="{link}"' in page.text


async def test_the_landing_page_quotes_what_the_client_sends(client: httpx.AsyncClient) -> None:
    headers = {"Host": '"><script>alert(1)</script>'}
    page = await client.get(ROOT, headers=headers)
    assert "<script>" not in page.text


async def test_alive_and_ready(client: httpx.AsyncClient) -> None:
    for page in ("live", "ready"):
        answer = await client.get(f"{ROOT}/health/{page}")
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/metrics"])
async def test_pages_can_be_asked_for_their_headers(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.head(ROOT + path)
    assert answer.status_code == 200
    assert answer.content == b""


async def test_without_a_database_the_server_lives_and_is_not_ready(
    without_database: httpx.AsyncClient,
) -> None:
    assert (await without_database.get(f"{ROOT}/health/live")).status_code == 200
    assert (await without_database.get(f"{ROOT}/health/ready")).status_code == 503
    assert (await without_database.get("metadata")).status_code == 200


async def test_metrics_count_requests_by_interaction_and_status(client: httpx.AsyncClient) -> None:
    async def counted(interaction: str, status: str) -> float:
        text = (await client.get(f"{ROOT}/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "fhir_request_seconds_count"
            and sample.labels == {"interaction": interaction, "status": status}
        )

    read, missing = await counted("read", "200"), await counted("read", "404")
    await client.put("Patient/m", json={"resourceType": "Patient", "id": "m"})
    await client.get("Patient/m")
    await client.get("Patient/nobody")
    assert await counted("read", "200") == read + 1
    assert await counted("read", "404") == missing + 1


async def test_metrics_name_nothing_that_a_client_sends(client: httpx.AsyncClient) -> None:
    await client.get("Patient/hidden-id?name=hidden-name")
    await client.get("hidden-type")
    assert "hidden" not in (await client.get(f"{ROOT}/metrics")).text


async def test_openapi_is_the_registry(client: httpx.AsyncClient) -> None:
    document = (await client.get(f"{ROOT}/openapi.json")).json()
    described = {
        (method.upper(), path.replace("{", "[").replace("}", "]"))
        for path, operations in document["paths"].items()
        for method in operations
    }
    interactions = (*INTERACTIONS, *operation_routes(definitions()))
    registered = {(item.method, f"/fhir/{item.path}".rstrip("/")) for item in interactions}
    assert described == registered
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert sorted(names) == sorted(item.name for item in interactions)
    (type_, _) = document["paths"]["/fhir/[type]/[id]".replace("[", "{").replace("]", "}")]["get"][
        "parameters"
    ]
    assert type_["schema"]["enum"] == sorted(definitions().resource_types)


async def test_the_landing_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    """Hospitals' networks end at their walls."""
    page = (await client.get(ROOT)).text
    assert "<script" not in page
    assert 'src="' not in page
    assert "<link" not in page


@pytest.mark.parametrize("path", ["/nothing", "/Patient", "/fhirs", "/health", "/.env"])
async def test_other_paths_say_where_fhir_is(client: httpx.AsyncClient, path: str) -> None:
    assert "/fhir" in refusal_of(await client.get(ROOT + path), 404, "not-found")


async def test_a_page_that_is_only_read_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{ROOT}/health/live")
    refusal_of(answer, 405, "not-supported")
    assert "GET" in answer.headers["allow"]


async def test_the_landing_page_says_that_nobody_has_to_say_who_they_are(database: str) -> None:
    for gate, told in ((None, True), (OpenGate(), False)):
        async with serving(Settings(database_pool=2), database, gate=gate) as client:
            page = await client.get(ROOT)
        assert ("Nobody has to say who they are" in page.text) is told
