"""HL7 v2 for several territories: each listener and destination is of one."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from fhir_server.app import build
from fhir_server.messaging.settings import MessagingSettings
from fhir_server.settings import Settings
from fhir_server.storage.migrate import migrate
from tests.conftest import FHIR_JSON, free_port
from tests.messaging.mllp import peer
from tests.messaging.receiver import Receiver, receiving
from tests.messaging.samples import adt, number


@dataclass(frozen=True, slots=True)
class Group:
    """Clients by tenant, the ports of their listeners, and who hears of north's patients."""

    clients: dict[str, httpx.AsyncClient]
    ports: dict[str, int]
    emr: Receiver


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    ports = {name: free_port() for name in ("default", "north", "emr")}
    path: Path = tmp_path_factory.mktemp("hl7v2") / "hl7v2.yaml"
    emr = {"name": "emr", "tenant": "north", "host": "127.0.0.1", "port": ports["emr"],
           "application": "EMR", "sends": ["patients"]}  # fmt: skip
    listeners = [
        {"name": "first", "port": ports["default"]},
        {"name": "second", "port": ports["north"], "tenant": "north"},
    ]
    path.write_text(json.dumps({"listeners": listeners, "destinations": [emr]}))
    return path, ports


@pytest.fixture(scope="module")
async def group(database: str, file: tuple[Path, dict[str, int]]) -> AsyncIterator[Group]:
    path, ports = file
    migrate(database, "north")
    app = build(Settings(database_pool=8, mllp_config=path), database)
    receiver = Receiver()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(receiving(receiver, ports["emr"]))
        await stack.enter_async_context(app.pages.router.lifespan_context(app.pages))
        clients = {
            tenant: await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app),
                    base_url=f"http://test/t/{tenant}/fhir/", headers=FHIR_JSON, timeout=60,
                )
            )
            for tenant in ("default", "north")
        }  # fmt: skip
        yield Group(clients, ports, receiver)


async def total(client: httpx.AsyncClient, query: str) -> int:
    return int((await client.get(query)).json()["total"])


@pytest.mark.parametrize(("mine", "other"), [("default", "north"), ("north", "default")])
async def test_a_message_is_the_territorys_whose_listener_took_it(
    group: Group, mine: str, other: str
) -> None:
    mrn, control_id = number("T"), number("TC")
    async with peer(group.ports[mine]) as sender:
        answer = await sender.ask(adt(mrn, control_id=control_id))
    assert answer.value("MSA-1") == "AA"
    for query in (f"Patient?identifier={mrn}", f"Communication?identifier={control_id}"):
        assert await total(group.clients[mine], query) == 1
        assert await total(group.clients[other], query) == 0


async def test_a_destination_hears_of_its_own_territory_alone(group: Group) -> None:
    for tenant, family in (("default", "Southerner"), ("north", "Northerner")):
        patient = {"resourceType": "Patient", "name": [{"family": family}]}
        answer = await group.clients[tenant].post("Patient", json=patient)
        assert answer.status_code == 201
    families = []
    while "Northerner" not in families:
        families.append((await group.emr.next()).value("PID-5.1"))
    assert "Southerner" not in families


def test_a_name_that_is_no_territorys_is_refused() -> None:
    listener = {"name": "x", "port": 2575, "tenant": "North"}
    with pytest.raises(ValidationError, match="lower-case"):
        MessagingSettings.model_validate({"listeners": [listener]})
