"""ORD-7: finding orders, histories and work lists by standard search."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fhir_server.workflow.canonicals import ACCESSION_NUMBER, BASE, IDENTIFIER_TYPE, ORDER_NUMBER
from tests.answers import resource_of
from tests.indexing.workers import searchable
from tests.search.work_lists import WORK_LISTS
from tests.workflow.ordering import Ward, accession, number, order, ward
from tests.workflow.stepping import practitioner, step

DAY = "2026-11-23"
PRIORITIES = ("routine", "stat", "urgent", "asap", "routine")


@dataclass(frozen=True, slots=True)
class World:
    """Orders by a name of their own, and where and for whom they are."""

    at: Ward
    orders: dict[str, dict[str, Any]]
    station: str
    technician: str

    def ids(self, *names: str) -> list[str]:
        return [self.orders[name]["id"] for name in names]


@pytest.fixture(scope="module")
async def world(client: httpx.AsyncClient) -> World:
    await searchable(client, "Task?_sort=urgency&modality=CT&order-type=imaging&scheduled=2026")
    await searchable(client, "Task?station=Location/x")
    at, other = await ward(client), await ward(client)
    room = {"resourceType": "Location", "id": "ct1", "name": "CT 1"}
    resource_of(await client.put("Location/ct1", json=room), 201)
    technician = await practitioner(client, "technician")
    orders = {}
    for turn, priority in enumerate(PRIORITIES):
        authored = f"2026-11-{20 - turn}T08:00:00Z"
        orders[f"waits-{turn}"] = await placed(client, at, priority=priority, authoredOn=authored)
    for turn, start in enumerate((f"{DAY}T11:00:00Z", f"{DAY}T09:00:00Z", "2026-11-24T09:00:00Z")):
        name = f"slot-{turn}"
        orders[name] = await placed(client, other, **ct(), priority="routine")
        await step(
            client, f"ServiceRequest/{orders[name]['id']}", "schedule",
            time=start, performer=technician, location="Location/ct1",
        )  # fmt: skip
    orders["laboratory"] = await placed(client, at, "laboratory", priority="urgent")
    orders["done"] = await placed(client, other, **ct())
    target = f"ServiceRequest/{orders['done']['id']}"
    await step(client, target, "schedule", time=f"{DAY}T07:00:00Z", location="Location/ct1")
    await step(client, target, "start")
    await step(client, target, "complete")
    return World(at, orders, "Location/ct1", technician)


async def placed(
    client: httpx.AsyncClient, at: Ward, type_: str = "imaging", **more: Any
) -> dict[str, Any]:
    answer = await client.post("ServiceRequest", json=order(at, type_, **more))
    return resource_of(answer, 201)


def ct() -> dict[str, Any]:
    modality = {"system": f"{BASE}/CodeSystem/modality", "code": "CT"}
    url = f"{BASE}/StructureDefinition/order-modality"
    return {"extension": [{"url": url, "valueCoding": modality}]}


async def found(client: httpx.AsyncClient, query: str) -> list[str]:
    """The ids of the matches, in their order, over all pages."""
    ids: list[str] = []
    url: str | None = query
    while url:
        bundle = resource_of(await client.get(url))
        entries = bundle.get("entry", ())
        ids += [each["resource"]["id"] for each in entries if each["search"]["mode"] == "match"]
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)
    return ids


def of_mode(bundle: dict[str, Any], mode: str) -> list[dict[str, Any]]:
    return [each["resource"] for each in bundle["entry"] if each["search"]["mode"] == mode]


async def test_orders_are_found_by_everything_that_tells_them_apart(
    client: httpx.AsyncClient, world: World
) -> None:
    waiting = world.ids(*(f"waits-{turn}" for turn in range(5)))
    slots = world.ids("slot-0", "slot-1", "slot-2")
    first = world.orders["waits-0"]
    patient, encounter, requester = world.at.patient, world.at.encounter, world.at.practitioner
    system = f"{BASE}/CodeSystem"
    expected = {
        f"category={system}/order-type|laboratory": world.ids("laboratory"),
        f"patient={patient}&category=imaging": waiting,
        f"encounter={encounter}&modality={system}/modality|XRAY": waiting,
        f"requester={requester}&category=laboratory": world.ids("laboratory"),
        "modality=CT&_has:Task:focus:business-status=scheduled": slots,
        f"patient={patient}&_has:Task:focus:business-status=completed": [],
        "modality=CT&_has:Task:focus:business-status=completed": world.ids("done"),
        f"patient={patient}&priority=stat,asap": world.ids("waits-1", "waits-3"),
        f"patient={patient}&authored=ge2026-11-19&authored=lt2026-11-21&category=imaging": [
            *world.ids("waits-0", "waits-1")
        ],
        f"identifier={ORDER_NUMBER}|{number(first)}": [first["id"]],
        f"identifier={ACCESSION_NUMBER}|{accession(first)}": [first["id"]],
        f"identifier:of-type={IDENTIFIER_TYPE}|ACSN|{accession(first)}": [first["id"]],
        "modality=CT&status=active&body-site=CHEST": [*slots, *world.ids("done")],
    }
    for query, wanted in expected.items():
        assert sorted(await found(client, f"ServiceRequest?{query}")) == sorted(wanted), query


async def test_a_patients_history_is_one_search_newest_first(
    client: httpx.AsyncClient, world: World
) -> None:
    query = f"ServiceRequest?patient={world.at.patient}&category=imaging&_sort=-authored&_count=2"
    assert await found(client, query) == world.ids(*(f"waits-{turn}" for turn in range(5)))


async def test_the_scheduler_has_the_most_urgent_first_then_the_oldest(
    client: httpx.AsyncClient, world: World
) -> None:
    wanted = world.ids("waits-1", "waits-3", "waits-2", "waits-0", "waits-4")
    assert await found(client, WORK_LISTS["scheduler"]) == wanted
    assert await found(client, f"{WORK_LISTS['scheduler']}&_count=2") == wanted


async def test_the_technician_has_the_slots_of_a_day_in_their_order(
    client: httpx.AsyncClient, world: World
) -> None:
    wanted = world.ids("slot-1", "slot-0")
    assert await found(client, WORK_LISTS["technician"]) == wanted
    assert await found(client, WORK_LISTS["station"]) == wanted
    mine = WORK_LISTS["performer"].replace("Practitioner/tech", world.technician)
    assert await found(client, mine) == wanted


async def test_the_radiologist_has_what_waits_for_a_report(
    client: httpx.AsyncClient, world: World
) -> None:
    assert await found(client, WORK_LISTS["radiologist"]) == world.ids("done")


async def test_a_work_list_brings_order_patient_encounter_and_practitioners(
    client: httpx.AsyncClient, world: World
) -> None:
    bundle = resource_of(await client.get(WORK_LISTS["technician"]))
    types = {each["resourceType"] for each in of_mode(bundle, "include")}
    assert types == {"ServiceRequest", "Patient", "Encounter", "Practitioner"}
    names = {f"{each['resourceType']}/{each['id']}" for each in of_mode(bundle, "include")}
    assert world.technician in names
    for task in of_mode(bundle, "match"):
        assert {task["focus"]["reference"], task["for"]["reference"]} <= names


async def test_a_changed_priority_moves_an_order_in_the_list(
    client: httpx.AsyncClient, world: World
) -> None:
    made = await placed(client, world.at, priority="routine")
    assert (await found(client, WORK_LISTS["scheduler"]))[-1] == made["id"]
    urgent = resource_of(await client.get(f"ServiceRequest/{made['id']}")) | {"priority": "stat"}
    resource_of(await client.put(f"ServiceRequest/{made['id']}", json=urgent))
    assert (await found(client, WORK_LISTS["scheduler"]))[1] == made["id"], "after an older one"
    target = f"ServiceRequest/{made['id']}"
    await step(client, target, "cancel", reason="Asked for by mistake")
    assert made["id"] not in await found(client, WORK_LISTS["scheduler"])


async def test_profiles_and_what_work_lists_are_searched_by_are_declared(
    client: httpx.AsyncClient, world: World
) -> None:
    statement = resource_of(await client.get("metadata"))
    (rest,) = statement["rest"]
    declared = {
        each["type"]: {item["name"] for item in each["searchParam"]} for each in rest["resource"]
    }
    own = {"modality", "order-type", "scheduled", "station", "urgency"}
    assert declared["Task"] >= own
    assert declared["ServiceRequest"] >= {"modality", "urgency"}
    orders = next(each for each in rest["resource"] if each["type"] == "ServiceRequest")
    assert f"{BASE}/StructureDefinition/imaging-order" in orders["supportedProfile"]
    assert len(await found(client, f"SearchParameter?code={','.join(own)}")) == len(own)
