"""The worklists of several territories: a modality sees that of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from fhir_server.storage.migrate import migrate
from tests.conftest import FHIR_JSON, free_port
from tests.indexing.workers import searchable
from tests.workflow.ordering import accession
from tests.worklist.calling import findscu, scheduled
from tests.worklist.conftest import TITLE, House

SETTINGS = """
tenants:
  north:
    worklist_stations: CTNORTH
    accession_number_prefix: NACC
"""


@pytest.fixture(scope="module")
def tenants_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("tenants") / "tenants.yaml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="module")
async def houses(database: str, tenants_config: Path) -> AsyncIterator[dict[str, House]]:
    migrate(database, "north")
    port = free_port()
    settings = Settings(
        database_pool=8, worklist_port=port, worklist_title=TITLE, tenants_config=tenants_config
    )
    app = build(settings, database)
    transport = httpx.ASGITransport(app=app)
    async with app.pages.router.lifespan_context(app.pages):
        found = {}
        for tenant in ("default", "north"):
            client = httpx.AsyncClient(
                transport=transport,
                base_url=f"http://test/t/{tenant}/fhir/", headers=FHIR_JSON, timeout=60,
            )  # fmt: skip
            await searchable(client, "Task?order-type=imaging", within=120)
            found[tenant] = House(client, port, app.engine)
        yield found
        for house in found.values():
            await house.client.aclose()


async def test_a_modality_sees_the_worklist_of_its_territory(houses: dict[str, House]) -> None:
    numbers = {tenant: accession(await scheduled(house.client)) for tenant, house in houses.items()}
    assert numbers["north"].startswith("NACC")
    for caller, tenant in (("CTNORTH", "north"), ("CT1", "default")):
        found = await findscu(houses[tenant], caller=caller)
        assert [each.AccessionNumber for each in found] == [numbers[tenant]]
