"""For each way in which data can leave: what is one territory's is not another's.

North has a patient of whom everything bears a secret. South asks, as somebody who may do
everything there.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server.app import build
from fhir_server.identity.authenticator import Remembering
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.tokens import Trusted, Verifier
from fhir_server.security.gate import TokenGate
from fhir_server.security.policy import Policy
from fhir_server.settings import Settings
from fhir_server.spec import definitions
from fhir_server.storage.migrate import migrate
from fhir_server.workflow.canonicals import ORDER_NUMBER
from tests.conftest import FHIR_JSON
from tests.tokens import BASE, ISSUER, OwnKeys, token
from tests.workflow.ordering import create, order, ward

SECRET = "Zymurgeist"
IDS = ("nordic", "nordic-observation", "nordic-encounter", "nordic-gone")
SETTINGS = """
tenants:
  north:
    order_number_prefix: NORD
    accession_number_prefix: NACC
"""


def client_of(app: Any, tenant: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url=f"http://test/t/{tenant}/fhir/", headers=FHIR_JSON, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tenants_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("tenants") / "tenants.yaml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="module")
async def app(database: str, tenants_config: Path) -> AsyncIterator[Any]:
    for tenant in ("north", "south"):
        migrate(database, tenant)
    found = build(Settings(database_pool=8, tenants_config=tenants_config), database)
    async with found.pages.router.lifespan_context(found.pages):
        yield found


@pytest.fixture(scope="module")
async def north(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, "north") as client:
        await fill(client)
        await until_indexed(client)
        yield client


@pytest.fixture(scope="module")
async def south(app: Any, north: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, "south") as client:
        await until_indexed(client)
        yield client


async def until_indexed(client: httpx.AsyncClient) -> None:
    """Return when a new territory can be searched by all that comes with it."""
    async with asyncio.timeout(60):
        while (await client.get("Observation?_include=*&_revinclude=*")).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def fill(client: httpx.AsyncClient) -> None:
    subject = {"reference": "Patient/nordic"}
    patient = {
        "resourceType": "Patient",
        "id": "nordic",
        "name": [{"family": SECRET}],
        "identifier": [{"system": "urn:mrn", "value": SECRET}],
        "birthDate": "1970-01-01",
    }
    code = {"coding": [{"system": "urn:s", "code": "x"}]}
    observation = {"resourceType": "Observation", "id": "nordic-observation", "status": "final",
                   "code": code, "subject": subject, "valueString": SECRET,
                   "encounter": {"reference": "Encounter/nordic-encounter"}}  # fmt: skip
    encounter = {"resourceType": "Encounter", "id": "nordic-encounter", "status": "finished",
                 "class": {"code": "AMB"}, "subject": subject}  # fmt: skip
    gone = {"resourceType": "Basic", "id": "nordic-gone", "code": {"text": SECRET}}
    for resource in (patient, encounter, observation, gone, patient | {"active": True}):
        answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text
    assert (await client.delete("Basic/nordic-gone")).status_code in (200, 204)
    for number in range(5):
        await create(client, patient | {"id": f"n{number}"})


@pytest.mark.parametrize(
    "path",
    [
        "Patient/nordic",
        "Patient/nordic/_history/1",
        "Basic/nordic-gone",
        "Basic/nordic-gone/_history/1",
        "Patient/nordic/_history",
        "Patient/nordic/$everything",
        "Encounter/nordic-encounter/$everything",
        "Patient/nordic/$meta",
        "Patient/nordic/Observation",
    ],
)
async def test_what_is_asked_for_by_id_was_never_there(south: httpx.AsyncClient, path: str) -> None:
    answer = await south.get(path)
    if path.endswith("/Observation"):
        assert answer.json()["total"] == 0
    else:
        assert answer.status_code == 404
        absent = await south.get(path.replace("nordic", "absent"))
        assert absent.status_code == 404
        assert answer.json() == json.loads(absent.text.replace("absent", "nordic"))
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "Patient",
        "Patient?_id=nordic",
        f"Patient?name={SECRET}",
        f"Patient?name:contains={SECRET[:4].lower()}",
        f"Patient?identifier=urn:mrn|{SECRET}",
        "Patient?birthdate=1970-01-01",
        "Patient?_lastUpdated=gt2000-01-01",
        "Patient?_has:Observation:subject:code=urn:s|x",
        "Observation?code=urn:s|x",
        "Observation?subject=Patient/nordic",
        f"Observation?subject:Patient.name={SECRET}",
        f"Observation?patient.identifier=urn:mrn|{SECRET}",
        f"Observation?value-string={SECRET}",
        "Observation?_include=*&_revinclude=*",
        "Encounter?_revinclude=Observation:encounter",
        "Encounter?_sort=-date",
        "?_type=Patient,Observation,Encounter",
        "?_id=nordic",
        "Patient?_summary=count",
        "Patient?_total=accurate&_count=0",
        "Patient?_filter=name co 'zym'",
    ],
)
async def test_no_search_finds_it(
    south: httpx.AsyncClient, north: httpx.AsyncClient, query: str
) -> None:
    answer = await south.get(query)
    if answer.status_code == 400:
        assert (await north.get(query)).status_code == 400
        return
    found = answer.json()
    assert answer.status_code == 200, answer.text
    assert found.get("total", 0) == 0
    matches = [each["resource"]["id"] for each in found.get("entry", ())
               if each["search"]["mode"] != "outcome"]  # fmt: skip
    assert matches == []
    by_post = await south.post(
        query.partition("?")[0] + "/_search",
        content=query.partition("?")[2],
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert SECRET not in json.dumps(by_post.json().get("entry", ()))


@pytest.mark.parametrize("level", ["_history", "Patient/_history", "Basic/_history"])
async def test_no_history_tells_of_it(south: httpx.AsyncClient, level: str) -> None:
    found = (await south.get(level + "?_count=1000")).json()
    text = json.dumps(found)
    assert SECRET not in text
    assert not [id_ for id_ in IDS if f'"{id_}"' in text]


async def test_a_cursor_of_one_territory_opens_nothing_in_another(
    north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    for query in ("Patient?_count=2", "Patient/_history?_count=2", "Patient?_sort=name&_count=2"):
        page = (await north.get(query)).json()
        url = next(link["url"] for link in page["link"] if link["relation"] == "next")
        assert (await north.get(url)).status_code == 200
        stolen = url.replace("/t/north/", "/t/south/")
        assert stolen != url
        answer = await south.get(stolen)
        assert answer.status_code in (400, 404, 410), answer.text
        assert SECRET not in answer.text


async def test_batches_and_transactions_stay_inside(
    north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    urls = ("Patient/nordic", f"Patient?name={SECRET}", "Patient/nordic/_history",
            "http://test/t/north/fhir/Patient/nordic", "/t/north/fhir/Encounter/nordic-encounter",
            "../../north/fhir/Patient/nordic")  # fmt: skip
    for kind in ("batch", "transaction"):
        for url in urls:
            bundle = {"resourceType": "Bundle", "type": kind,
                      "entry": [{"request": {"method": "GET", "url": url}}]}  # fmt: skip
            answer = await south.post("", json=bundle)
            assert SECRET not in answer.text.replace(f"name={SECRET}", "")


async def test_writes_touch_nothing_of_another(
    north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    before = (await north.get("Patient/nordic")).json()
    mine = {"resourceType": "Patient", "id": "nordic", "name": [{"family": "Mine"}]}
    conditional = await south.post(
        "Patient",
        json=mine | {"identifier": [{"system": "urn:mrn", "value": SECRET}]},
        headers={"If-None-Exist": f"identifier=urn:mrn|{SECRET}"},
    )
    assert conditional.status_code == 201
    assert (await south.delete(f"Patient/{conditional.json()['id']}")).status_code in (200, 204)
    assert (await south.patch("Patient/nordic", json=[], headers={
        "Content-Type": "application/json-patch+json"})).status_code == 404  # fmt: skip
    created = await south.put("Patient/nordic", json=mine, headers={"If-None-Match": "*"})
    assert created.status_code == 201
    assert created.json()["meta"]["versionId"] == "1"
    assert (await south.delete("Patient/nordic")).status_code in (200, 204)
    assert (await north.get("Patient/nordic")).json() == before


async def test_numbers_are_each_territorys_own(
    north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    numbers = []
    for client in (north, south):
        for _ in range(2):
            stored = await create(client, order(await ward(client)))
            numbers += [
                each["value"].partition("-")[0] + "…" + each["value"].rpartition("-")[2]
                for each in stored["identifier"]
                if each["system"] == ORDER_NUMBER
            ]
    assert numbers == ["NORD…00001", "NORD…00002", "ORD…00001", "ORD…00002"]


async def test_a_reference_into_another_territory_is_a_mismatch(
    north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    at = await ward(south)
    foreign = {"reference": "http://test/t/north/fhir/Patient/nordic"}
    answer = await south.post("ServiceRequest", json=order(at, subject=foreign))
    assert answer.status_code == 422
    codes = [each["details"]["coding"][0]["code"] for each in answer.json()["issue"]]
    assert "TERRITORY_MISMATCH" in codes
    assert SECRET not in answer.text


@pytest.mark.usefixtures("north")
def test_the_database_itself_keeps_territories_apart(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        rows = connection.execute("select name, role from fhir_server.tenant").fetchall()
        roles: dict[str, str] = dict(rows)
        tables = [
            name
            for (name,) in connection.execute(
                "select relname from pg_class where relkind in ('r', 'S') "
                "and relnamespace = 'tenant_north'::regnamespace"
            ).fetchall()
        ]
    assert len(tables) > 20
    with psycopg.connect(
        database, autocommit=True, options=f"-c role={roles['south']}"
    ) as connection:
        connection.execute("select count(*) from tenant_south.resource")
        for table in tables:
            for statement in (
                f"select * from tenant_north.{table}",
                f"delete from tenant_north.{table}",
                f"copy tenant_north.{table} to stdout",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        for statement in (
            "create table tenant_north.x (y int)",
            "create table tenant_south.x (y int)",
            "drop table tenant_south.resource",
            "truncate tenant_south.resource",
            "select * from fhir_server.tenant",
            "select fhir_server.merge_pending('north')",
            "select * from tenant_south.alembic_version",
            "update tenant_south.secret set value = ''",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


async def test_a_token_opens_the_territories_that_it_names(
    database: str, north: httpx.AsyncClient
) -> None:
    issuer = Issuer(issuer=ISSUER, audience=(BASE,), scopes_required=False)
    gate = TokenGate(
        Remembering(Verifier({ISSUER: Trusted(issuer, OwnKeys())}), BASE),
        Policy.read(None, definitions()),
        lambda: ("default", "north", "south"),
    )
    app = build(Settings(database_pool=4), database, (), gate)
    async with app.pages.router.lifespan_context(app.pages):
        found = {}
        for claimed in (["south"], ["south", "north"], []):
            given = token(("administrator",), tenants=claimed, jti=str(time.monotonic()))
            headers = {"Authorization": f"Bearer {given}"}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://test", headers=headers
            ) as client:
                found[tuple(claimed)] = [
                    (await client.get(path, headers=chosen)).status_code
                    for path, chosen in (
                        ("/fhir/Encounter/nordic-encounter", {}),
                        ("/t/north/fhir/Encounter/nordic-encounter", {}),
                        ("/fhir/Encounter/nordic-encounter", {"X-Tenant": "north"}),
                        ("/t/nowhere/fhir/Encounter/nordic-encounter", {}),
                    )
                ]
                mine = await client.get("/t/north/fhir/Encounter/nordic-encounter")
                other = await client.get("/t/nowhere/fhir/Encounter/nordic-encounter")
                if mine.status_code == 403:
                    assert mine.json() == other.json()
    assert found[("south",)] == [404, 403, 403, 403]
    assert found[("south", "north")] == [404, 200, 200, 403]
    assert found[()][1:] in ([403, 403, 403], [401, 401, 401])
