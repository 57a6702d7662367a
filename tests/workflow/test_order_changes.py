"""What may become of an order once it exists (ORD-13), and of its Task."""

import asyncio
from typing import Any

import httpx
import pytest

from fhir_server.workflow.canonicals import ORDER_NUMBER
from tests.answers import refusal_of, resource_of
from tests.workflow.changing import (
    INVALID_TRANSITION,
    WRITES,
    cancel,
    current,
    patch,
    put,
    update,
    update_in_transaction,
)
from tests.workflow.ordering import (
    Resource,
    Ward,
    accession,
    category,
    codes,
    create,
    encounter,
    number,
    order,
    reference,
    state,
    task_of,
    ward,
)


@pytest.fixture
async def at(client: httpx.AsyncClient) -> Ward:
    return await ward(client)


@pytest.fixture
async def stored(client: httpx.AsyncClient, at: Ward) -> Resource:
    return await create(client, order(at))


@pytest.mark.parametrize("write", WRITES, ids=lambda each: each.__name__)
async def test_ord_13_priority_instructions_and_notes_change_and_the_task_follows(
    client: httpx.AsyncClient, stored: Resource, write: Any
) -> None:
    more = {
        "priority": "stat",
        "orderDetail": [{"text": "Standing, if possible"}],
        "note": [{"text": "Hard of hearing"}],
        "occurrenceDateTime": "2026-11-22",
    }
    assert (await write(client, stored, **more)).status_code == 200
    found = await current(client, stored)
    assert {name: found[name] for name in more} == more
    assert (number(found), accession(found)) == (number(stored), accession(stored))
    task = await task_of(client, stored)
    assert (task["priority"], state(task)) == ("stat", "ordered")
    *_, history = found["relevantHistory"]
    told = resource_of(await client.get(history["reference"]))
    assert told["activity"]["coding"][0]["code"] == "change"
    assert task["relevantHistory"] == found["relevantHistory"]


@pytest.mark.parametrize("write", WRITES, ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    ("more", "element"),
    [
        ({"category": [category("laboratory")]}, "category"),
        ({"category": [{"text": "none"}]}, "category"),
        ({"intent": "plan"}, "intent"),
        ({"identifier": [{"system": ORDER_NUMBER, "value": "another"}]}, "identifier"),
    ],
)
async def test_ord_13_type_intent_and_numbers_cannot_change(
    client: httpx.AsyncClient, stored: Resource, write: Any, more: Resource, element: str
) -> None:
    outcome = resource_of(await write(client, stored, **more), 422)
    assert set(codes(outcome)) == {"VALIDATION_ERROR"}
    places = [issue["expression"][0] for issue in outcome["issue"]]
    assert any(place.endswith(f".{element}") for place in places)
    assert await current(client, stored) == stored


async def test_ord_13_the_patient_cannot_change(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    other = await ward(client)
    changed = stored | {
        "subject": {"reference": other.patient},
        "encounter": {"reference": other.encounter},
    }
    assert other.patient in refusal_of(await put(client, changed), 422)


async def test_ord_13_what_the_server_had_put_there_stays_when_it_is_left_out(
    client: httpx.AsyncClient, at: Ward, stored: Resource
) -> None:
    bare = order(at) | {"id": stored["id"]}
    assert resource_of(await put(client, bare)) == stored
    changed = resource_of(await put(client, bare | {"priority": "routine"}))
    assert changed["identifier"] == stored["identifier"]
    assert changed["authoredOn"] == stored["authoredOn"]
    assert changed["relevantHistory"][0] == stored["relevantHistory"][0]


@pytest.mark.parametrize("write", [update, patch, update_in_transaction])
async def test_ord_13_notes_are_added_and_never_replaced(
    client: httpx.AsyncClient, stored: Resource, write: Any
) -> None:
    first, second = {"text": "The first"}, {"text": "The second"}
    for notes in ([first], [second, first]):
        assert (await write(client, await current(client, stored), note=notes)).status_code == 200
    for notes in ([first], [{"text": "Another"}, first]):
        answer = await write(client, await current(client, stored), note=notes)
        assert "The second" in refusal_of(answer, 422)


@pytest.mark.parametrize("write", WRITES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("status", ["completed", "revoked", "on-hold", "entered-in-error"])
async def test_ord_5_a_plain_write_changes_no_status(
    client: httpx.AsyncClient, stored: Resource, write: Any, status: str
) -> None:
    answer = await write(client, stored, status=status)
    assert codes(resource_of(answer, 409)) == INVALID_TRANSITION
    told = refusal_of(answer, 409)
    for word in (f"ServiceRequest/{stored['id']}", "ordered", status, "$cancel"):
        assert word in told


async def test_ord_13_a_cancelled_order_does_not_change(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    await cancel(client, stored)
    found = await current(client, stored)
    answer = await put(client, found | {"priority": "stat"})
    assert codes(resource_of(answer, 409)) == INVALID_TRANSITION
    # What says nothing of the order may.
    tagged = found | {"meta": {"tag": [{"system": "http://example.org/tags", "code": "seen"}]}}
    assert resource_of(await put(client, tagged))["meta"]["tag"][0]["code"] == "seen"


async def test_ord_13_who_is_named_anew_is_looked_at_again(
    client: httpx.AsyncClient, at: Ward, stored: Resource
) -> None:
    other = await ward(client)
    wrong = stored | {"encounter": {"reference": other.encounter}}
    assert at.patient in refusal_of(await put(client, wrong), 422)
    changed = stored | {"requester": {"reference": other.practitioner}}
    assert resource_of(await put(client, changed))["requester"]["reference"] == other.practitioner
    assert (await task_of(client, stored))["requester"]["reference"] == other.practitioner


async def test_ord_13_an_order_may_change_after_its_encounter(
    client: httpx.AsyncClient, at: Ward, stored: Resource
) -> None:
    over = encounter(at.patient, status="finished", id=at.encounter.removeprefix("Encounter/"))
    assert (await put(client, over)).status_code == 200
    assert (await put(client, stored | {"priority": "stat"})).status_code == 200


async def test_ord_12_a_patient_who_is_merged_keeps_the_orders_there_are(
    client: httpx.AsyncClient, at: Ward, stored: Resource
) -> None:
    into = await reference(client, {"resourceType": "Patient", "active": True})
    merged = {
        "resourceType": "Patient",
        "id": at.patient.removeprefix("Patient/"),
        "link": [{"other": {"reference": into}, "type": "replaced-by"}],
    }
    assert (await put(client, merged)).status_code == 200
    assert (await put(client, stored | {"priority": "stat"})).status_code == 200
    assert (await client.post("ServiceRequest", json=order(at))).status_code == 422


async def test_an_order_is_held_to_the_version_that_a_client_has_seen(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    headers = {"If-Match": 'W/"7"'}
    changed = stored | {"priority": "stat"}
    url = f"ServiceRequest/{stored['id']}"
    assert (await client.put(url, json=changed, headers=headers)).status_code == 412


async def test_all_who_change_one_order_at_once_do(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    async def add(name: str) -> int:
        headers = {"Content-Type": "application/json-patch+json"}
        operation = {"op": "add", "path": "/performer", "value": [{"display": name}]}
        url = f"ServiceRequest/{stored['id']}"
        return (await client.patch(url, json=[operation], headers=headers)).status_code

    assert set(await asyncio.gather(*(add(f"P{number}") for number in range(8)))) == {200}
    found = await current(client, stored)
    assert found["meta"]["versionId"] == "9"
    assert len(found["relevantHistory"]) == 9


# Its Task.


@pytest.mark.parametrize(
    "more",
    [
        {"status": "completed"},
        {"businessStatus": {"text": "done"}},
        {"focus": {"reference": "ServiceRequest/other"}},
        {"code": {"text": "other"}},
        {"for": {"reference": "Patient/other"}},
        {"priority": "routine"},
    ],
    ids=lambda each: next(iter(each)),
)
@pytest.mark.parametrize("write", WRITES, ids=lambda each: each.__name__)
async def test_ord_3_a_task_goes_on_by_steps_alone(
    client: httpx.AsyncClient, stored: Resource, write: Any, more: Resource
) -> None:
    task = await task_of(client, stored)
    answer = await write(client, task, **more)
    assert codes(resource_of(answer, 409)) == INVALID_TRANSITION
    assert await task_of(client, stored) == task


async def test_ord_3_a_task_may_have_notes_and_an_owner(
    client: httpx.AsyncClient, at: Ward, stored: Resource
) -> None:
    task = await task_of(client, stored)
    more = {"note": [{"text": "Ring first"}], "owner": {"reference": at.practitioner}}
    assert resource_of(await put(client, task | more))["note"] == more["note"]


async def test_ord_3_a_task_stays_as_long_as_its_order(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    answer = await client.delete(f"Task/{stored['id']}")
    assert f"ServiceRequest/{stored['id']}" in refusal_of(answer, 409)
    by_condition = await client.delete("Task", params={"_id": stored["id"]})
    assert by_condition.status_code == 409


async def test_ord_3_a_foreign_task_in_the_place_of_an_orders_is_refused(
    client: httpx.AsyncClient, at: Ward
) -> None:
    foreign = {"resourceType": "Task", "id": "foreign", "status": "draft", "intent": "plan"}
    assert (await put(client, foreign)).status_code == 201
    answer = await put(client, order(at) | {"id": "foreign"})
    assert "Task/foreign" in refusal_of(answer, 409)
    assert (await put(client, foreign | {"status": "requested"})).status_code == 200
    assert (await client.delete("Task/foreign")).status_code == 204
    found = resource_of(await put(client, order(at) | {"id": "foreign"}), 201)
    assert state(await task_of(client, found)) == "ordered"


async def test_order_and_task_may_change_in_one_transaction(
    client: httpx.AsyncClient, at: Ward, stored: Resource
) -> None:
    task = await task_of(client, stored)
    changed = [stored | {"priority": "stat"}, task | {"owner": {"reference": at.practitioner}}]
    entries = [
        {
            "resource": each,
            "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
        }
        for each in changed
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    resource_of(await client.post("", json=bundle))
    after = await task_of(client, stored)
    assert (after["priority"], after["owner"]["reference"]) == ("stat", at.practitioner)
    assert after["meta"]["versionId"] == "2"


async def test_other_service_requests_and_tasks_are_as_free_as_ever(
    client: httpx.AsyncClient, at: Ward
) -> None:
    plain = {name: value for name, value in order(at).items() if name != "category"}
    found = await create(client, plain)
    for change in ({"status": "completed"}, {"subject": {"reference": "Patient/elsewhere"}}):
        found = resource_of(await put(client, found | change))
    task = await create(client, {"resourceType": "Task", "status": "draft", "intent": "plan"})
    assert (await put(client, task | {"status": "completed"})).status_code == 200
    for each in (found, task):
        answer = await client.delete(f"{each['resourceType']}/{each['id']}")
        assert answer.status_code == 204
