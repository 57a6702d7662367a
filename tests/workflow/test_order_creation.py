"""Creating orders: what comes with them, whichever way they come (ORD-1, ORD-2, ORD-3, ORD-11)."""

import re

import httpx
import pytest

from fhir_server.workflow.canonicals import ORDER_STEP, ORDER_TYPE
from fhir_server.workflow.study_uids import study_uid
from tests.answers import refusal_of, resource_of
from tests.workflow.ordering import accession, number, order, state, task_of, ward

TYPES = ("imaging", "laboratory", "procedure")


@pytest.mark.parametrize("type_", TYPES)
async def test_ord_1_a_new_order_gets_both_numbers(client: httpx.AsyncClient, type_: str) -> None:
    found = resource_of(
        await client.post("ServiceRequest", json=order(await ward(client), type_)), 201
    )
    assert re.fullmatch(r"ORD-\d{4}-\d{5}", number(found))
    assert re.fullmatch(r"ACC-\d{4}-\d{5}", accession(found))
    numbered = [each for each in found["identifier"] if "type" in each]
    assert [each["type"]["coding"][0]["code"] for each in numbered] == ["PLAC", "ACSN"]


async def test_an_imaging_order_has_a_study_uid_in_advance_and_it_stays(
    client: httpx.AsyncClient,
) -> None:
    at = await ward(client)
    found = resource_of(await client.post("ServiceRequest", json=order(at)), 201)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", study_uid(found))
    again = order(at, note=[{"text": "also"}]) | {"id": found["id"]}
    changed = resource_of(await client.put(f"ServiceRequest/{found['id']}", json=again))
    assert study_uid(changed) == study_uid(found)
    laboratory = order(at, "laboratory")
    assert study_uid(resource_of(await client.post("ServiceRequest", json=laboratory), 201)) == ""


async def test_a_supplied_study_uid_is_kept_and_held_by_one_order(
    client: httpx.AsyncClient,
) -> None:
    at = await ward(client)
    mine = [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}]
    found = resource_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 201)
    assert study_uid(found) == "1.2.3.4"
    refusal_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 409)


@pytest.mark.parametrize(
    "value", ["1.2.3", "urn:oid:1.02", "urn:oid:1.2/..", "urn:oid:" + "1." * 40]
)
async def test_what_is_no_uid_is_no_study_uid(client: httpx.AsyncClient, value: str) -> None:
    mine = [{"system": "urn:dicom:uid", "value": value}]
    given = order(await ward(client), identifier=mine)
    assert "no study UID" in refusal_of(await client.post("ServiceRequest", json=given), 422)


@pytest.mark.parametrize("type_", TYPES)
async def test_ord_3_a_new_order_has_a_task_that_says_ordered(
    client: httpx.AsyncClient, type_: str
) -> None:
    at = await ward(client)
    found = resource_of(await client.post("ServiceRequest", json=order(at, type_)), 201)
    task = await task_of(client, found)
    reference = {"reference": f"ServiceRequest/{found['id']}"}
    assert (found["status"], task["status"], state(task)) == ("active", "requested", "ordered")
    assert task["focus"] == reference
    assert task["basedOn"] == [reference]
    assert task["for"] == found["subject"]
    assert task["encounter"] == found["encounter"]
    assert task["requester"] == found["requester"]
    assert task["priority"] == "urgent"
    assert task["code"]["coding"][0]["code"] == "fulfill"
    assert {"system": ORDER_TYPE, "code": type_} in [
        each.get("valueCoding") for each in task["extension"]
    ]


async def test_ord_3_a_provenance_tells_of_the_creation(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    found = resource_of(await client.post("ServiceRequest", json=order(at)), 201)
    (history,) = found["relevantHistory"]
    told = resource_of(await client.get(history["reference"]), 200)
    assert [each["reference"] for each in told["target"]] == [
        f"ServiceRequest/{found['id']}",
        f"Task/{found['id']}",
    ]
    assert told["activity"]["coding"] == [{"system": ORDER_STEP, "code": "create"}]
    assert told["agent"][0]["who"] == {"reference": at.practitioner}
    task = await task_of(client, found)
    assert task["relevantHistory"] == [history]
    assert told["recorded"] == found["meta"]["lastUpdated"] == task["meta"]["lastUpdated"]
