"""The demonstration hospital, made through the public interface."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from fhir_server.demo.building import Built, Refused, build
from fhir_server.demo.hospital import Hospital
from fhir_server.demo.ordering import planned
from fhir_server.demo.tables import orders
from fhir_server.settings import Settings
from tests.http.serving import serving
from tests.profiles.given import broken_rules, provided

BEGAN = datetime(2026, 11, 21, 8, tzinfo=UTC)
STATES = {
    "ordered", "scheduled", "sample-collected", "in-progress", "completed", "reported",
    "cancelled", "on-hold",
}  # fmt: skip


def hospital(seed: int = 1, patients: int = 12) -> Hospital:
    made = Hospital(seed, patients, BEGAN)
    made.resources()
    return made


def everything(made: Hospital) -> list[Any]:
    return [made.name, made.resources(), planned(made, 30)]


def test_a_seed_makes_the_same_hospital_and_another_seed_another() -> None:
    assert everything(Hospital(1, 12, BEGAN)) == everything(Hospital(1, 12, BEGAN))
    assert everything(Hospital(1, 12, BEGAN)) != everything(Hospital(2, 12, BEGAN))


async def test_its_orders_keep_their_profiles() -> None:
    for each in planned(hospital(), 60):
        type_ = each.order["category"][0]["coding"][0]["code"]
        assert await broken_rules(each.order, f"{type_}-order") == set(), each.order


def test_no_two_orders_have_one_slot() -> None:
    slots = Counter(
        (location["valueReference"]["reference"], time["valueDateTime"])
        for each in planned(hospital(), 120)
        for step in each.steps
        if step.operation == "schedule" and each.state in ("scheduled", "on-hold")
        for location in step.parameters
        if location["name"] == "location"
        for time in step.parameters
        if time["name"] == "time"
    )
    assert slots
    assert max(slots.values()) == 1


def test_its_panels_are_those_of_the_catalogue() -> None:
    catalogue = provided()["CodeSystem", "laboratory-catalogue"]["concept"]
    members = {
        each["code"]: {
            item["valueCoding"]["code"] for item in each["property"] if item["code"] == "member"
        }
        for each in catalogue
    }
    for each in orders()["laboratory"]:
        assert {member["code"] for member in each["members"]} == members[each["test"]]


@pytest.fixture(scope="module")
async def built(client: httpx.AsyncClient) -> Built:
    return await build(client, 1, 14)


async def total(client: httpx.AsyncClient, query: str) -> int:
    answer = await client.get(query)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["total"])


async def test_there_are_orders_in_every_state(client: httpx.AsyncClient, built: Built) -> None:
    assert built.orders.keys() == STATES
    for state in STATES:
        query = f"Task?business-status={state}&_summary=count"
        assert await total(client, query) == built.orders[state], state


async def test_reports_have_results_that_are_interpreted(
    client: httpx.AsyncClient, built: Built
) -> None:
    reported = built.orders["reported"]
    assert await total(client, "DiagnosticReport?status=final&_summary=count") == reported
    observations = (await client.get("Observation?_count=200")).json()["entry"]
    assert observations
    for each in observations:
        assert each["resource"]["interpretation"], each


async def test_encounters_without_open_orders_are_finished(
    client: httpx.AsyncClient, built: Built
) -> None:
    assert await total(client, "Encounter?status=finished&_summary=count") > 0
    query = "Encounter?status=finished&_has:Task:encounter:business-status=ordered&_summary=count"
    assert await total(client, query) == 0


async def test_a_second_run_says_so_and_adds_nothing(
    client: httpx.AsyncClient, built: Built
) -> None:
    before = (await client.get("_history?_summary=count")).json()["total"]
    again = await build(client, 1, 14)
    assert again == Built(built.name, there=True)
    assert (await client.get("_history?_summary=count")).json()["total"] == before


async def test_a_run_that_broke_off_goes_on(client: httpx.AsyncClient, built: Built) -> None:
    steps = 0

    def give_up() -> None:
        nonlocal steps
        steps += 1
        if steps == 25:
            raise Refused("enough")

    with pytest.raises(Refused, match="enough"):
        await build(client, 2, 5, advance=give_up)
    finished = await build(client, 2, 5)
    assert not finished.there
    assert finished.orders.total() == 15
    found = await client.get("ServiceRequest?patient=demo-2-patient-1&_summary=count")
    assert found.json()["total"] == 3


async def test_names_are_made_up_of_parts() -> None:
    for each in hospital().resources():
        for name in each["name"] if each["resourceType"] in ("Patient", "Practitioner") else ():
            assert re.fullmatch(r"[A-Z][a-z]+", name["family"])


async def test_what_the_server_refuses_is_told(client: httpx.AsyncClient) -> None:
    with pytest.raises(Refused, match="answered by 404"):
        async with httpx.AsyncClient(
            transport=client._transport, base_url="http://test/elsewhere/"
        ) as lost:
            await build(lost, 1, 1)


async def test_where_orders_are_verified_some_wait_for_it(own_database: str) -> None:
    settings = Settings(database_pool=6, verify_orders=True)
    async with serving(settings, own_database) as client:
        made = await build(client, 3, 8)
    assert made.orders.keys() == STATES - {"ordered"} | {"pending-verification"}
