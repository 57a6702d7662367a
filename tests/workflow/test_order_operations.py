"""How operations on orders are called: repeats, races, versions, Bundles (ORD-4, ORD-5)."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.workflow.ordering import Resource, codes, create, order, reference, ward
from tests.workflow.stepping import (
    SOON,
    call,
    observation,
    ordered,
    parameters,
    performed,
    practitioner,
    staff,
    state_of,
    step,
    texts,
    versions,
)

LATER = "2026-12-02T09:00:00Z"


async def test_ord_4_repeated_call_answers_the_state_and_writes_nothing(
    client: httpx.AsyncClient,
) -> None:
    target = await ordered(client)
    first = await step(client, target, "schedule", time=SOON)
    before = await versions(client, target)
    assert before == [2, 2, 2]
    assert await step(client, target, "schedule", time=SOON) == first
    await step(client, target, "start")
    again = await step(client, target, "schedule", time=SOON)
    assert again["state"] == "in-progress"
    assert await versions(client, target) == [3, 3, 3]


async def test_ord_4_repeated_report_answers_the_report(client: httpx.AsyncClient) -> None:
    target = await performed(client, "laboratory")
    given = texts(observation=[observation("718-7", 13)])
    first = await step(client, target, "report", **given)
    again = await step(client, target, "report", **given)
    assert again["report"] == first["report"]
    found = resource_of(await client.get(f"DiagnosticReport?based-on={target}&_summary=count"))
    assert found["total"] == 1


async def test_repeated_report_that_somebody_deleted_is_not_shown(
    client: httpx.AsyncClient,
) -> None:
    target = await performed(client)
    first = await step(client, target, "report", **texts())
    deleted = await client.delete(f"DiagnosticReport/{first['report']['id']}")
    assert deleted.status_code == 204
    again = await step(client, target, "report", **texts())
    assert again["state"] == "reported"
    assert "report" not in again


async def test_ord_4_repeated_collection_makes_one_specimen(client: httpx.AsyncClient) -> None:
    target = await ordered(client, "laboratory")
    first = await step(client, target, "collect-sample")
    again = await step(client, target, "collect-sample")
    assert again["order"]["specimen"] == first["order"]["specimen"]
    assert await versions(client, target) == [2, 2, 2]


async def test_ord_5_refusal_names_order_state_and_step(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    answer = await call(client, target, "start")
    told = refusal_of(answer, 409, "business-rule")
    assert told == (
        f"{target} is ordered: start is not possible; it may be done when the order is scheduled"
    )
    assert codes(resource_of(answer, 409)) == ["INVALID_STATUS_TRANSITION"]
    assert await versions(client, target) == [1, 1, 1]


@pytest.mark.parametrize("operation", ["collect-sample", "schedule"])
async def test_ord_3_step_of_another_type_of_order_is_refused(
    client: httpx.AsyncClient, operation: str
) -> None:
    target = await ordered(client, "imaging" if operation == "collect-sample" else "laboratory")
    answer = await call(client, target, operation, time="2026-01-01")
    assert "no step of" in refusal_of(answer, 409)
    assert codes(resource_of(answer, 409)) == ["INVALID_STATUS_TRANSITION"]


async def test_ord_5_what_is_no_order_is_told(client: httpx.AsyncClient) -> None:
    answer = await call(client, "ServiceRequest/none", "cancel", reason="no longer needed")
    assert codes(resource_of(answer, 404)) == ["ORDER_NOT_FOUND"]
    at = await ward(client)
    plain = {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
             "subject": {"reference": at.patient}}  # fmt: skip
    answer = await call(client, await reference(client, plain), "cancel", reason="not any more")
    assert codes(resource_of(answer, 404)) == ["ORDER_NOT_FOUND"]
    target = await ordered(client)
    assert (await client.delete(target)).status_code == 204
    answer = await call(client, target, "cancel", reason="no longer needed")
    refusal_of(answer, 410, "deleted")


async def test_two_people_schedule_at_once_and_one_wins(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    people = [await practitioner(client, "scheduler") for _ in range(6)]
    answers = await asyncio.gather(
        *(
            call(client, target, "schedule", time=f"2026-12-0{number + 1}", actor=who)
            for number, who in enumerate(people)
        )
    )
    won = [each for each in answers if each.status_code == 200]
    assert len(won) == 1
    for each in answers:
        if each not in won:
            assert f"{target} is scheduled" in refusal_of(each, 409)
    assert await versions(client, target) == [2, 2, 2]


async def test_same_call_many_times_at_once_is_one_step(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    answers = await asyncio.gather(*(call(client, target, "schedule", time=SOON) for _ in range(6)))
    assert {each.status_code for each in answers} == {200}
    assert await versions(client, target) == [2, 2, 2]


async def test_cancelling_while_images_arrive_ends_one_way_or_the_other(
    client: httpx.AsyncClient,
) -> None:
    """The machine completes the order in the moment in which the ward cancels it."""
    device = (await staff(client)).device
    for _ in range(5):
        target = await ordered(client)
        cancelled, completed = await asyncio.gather(
            call(client, target, "cancel", reason="no longer needed"),
            call(client, target, "complete", actor=device),
        )
        assert cancelled.status_code == 200
        state = "cancelled" if completed.status_code == 409 else "completed"
        if state == "cancelled":
            assert f"{target} is cancelled" in refusal_of(completed, 409)
        assert await state_of(client, target) == "cancelled"


async def test_if_match_holds_for_the_order(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    refusal_of(await call(client, target, "schedule", time=SOON, if_match='W/"7"'), 412)
    answer = await call(client, target, "schedule", time=SOON, if_match='W/"1"')
    assert answer.headers["etag"] == 'W/"2"'
    refusal_of(await call(client, target, "start", if_match='W/"1"'), 412)
    assert (await call(client, target, "start", if_match='W/"2"')).headers["etag"] == 'W/"3"'


async def test_batch_moves_orders_each_for_itself(client: httpx.AsyncClient) -> None:
    first, second = await ordered(client), await ordered(client)
    answer = await client.post("", json=bundle("batch", _move(first), _move(second, "start")))
    statuses = [each["response"]["status"] for each in resource_of(answer)["entry"]]
    assert statuses == ["200 OK", "409 Conflict"]
    assert await state_of(client, first) == "scheduled"


def bundle(kind: str, *entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _move(target: str, operation: str = "schedule", **more: Any) -> Resource:
    given = {"time": SOON} if operation == "schedule" else {}
    return {
        "request": {"method": "POST", "url": f"{target}/${operation}"} | more,
        "resource": parameters(f"ServiceRequest-{operation}", given),
    }


async def test_transaction_moves_all_orders_or_none(client: httpx.AsyncClient) -> None:
    first, second = await ordered(client), await ordered(client)
    answer = await client.post("", json=bundle("transaction", _move(first), _move(second, "start")))
    outcome = resource_of(answer, 409)
    assert codes(outcome) == ["INVALID_STATUS_TRANSITION"]
    assert outcome["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
    assert await versions(client, first) == [1, 1, 1]
    answer = await client.post("", json=bundle("transaction", _move(first), _move(second)))
    for each in resource_of(answer)["entry"]:
        assert each["response"]["status"] == "200 OK"
        assert each["response"]["etag"] == 'W/"2"'
        assert each["resource"]["parameter"][0] == {"name": "state", "valueCode": "scheduled"}


async def test_transaction_orders_and_moves_in_one_go(client: httpx.AsyncClient) -> None:
    """A machine that brings an order and its end, with the study as the cause (ORD-11)."""
    at = await ward(client)
    id_ = f"walk-in-{at.patient[-8:]}"
    target = f"ServiceRequest/{id_}"
    study: Resource = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": at.patient},
        "basedOn": [{"reference": target}],
    }
    moved = parameters(
        "ServiceRequest-complete",
        {"actor": (await staff(client)).device, "cause": "urn:uuid:0c1c5c3e-0000-4000-8000-1"},
    )
    entries: list[Resource] = [
        {"request": {"method": "POST", "url": f"{target}/$complete"}, "resource": moved},
        {"request": {"method": "PUT", "url": target}, "resource": order(at) | {"id": id_}},
        {"fullUrl": "urn:uuid:0c1c5c3e-0000-4000-8000-1", "resource": study,
         "request": {"method": "POST", "url": "ImagingStudy"}},
        {"request": {"method": "GET", "url": f"Task/{id_}"}},
    ]  # fmt: skip
    answer = resource_of(await client.post("", json=bundle("transaction", *entries)))
    task = answer["entry"][3]["resource"]
    assert task["businessStatus"]["coding"][0]["code"] == "completed"
    told = resource_of(await client.get(task["relevantHistory"][-1]["reference"]))
    stored = "/".join(answer["entry"][2]["response"]["location"].split("/")[-4:-2])
    assert told["entity"][0]["what"] == {"reference": stored}


async def test_transaction_heeds_if_match_of_a_step(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    answer = await client.post("", json=bundle("transaction", _move(target, ifMatch='W/"9"')))
    refusal_of(answer, 412)


async def test_search_parameters_and_steps_do_not_go_together(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    defined = {
        "resourceType": "SearchParameter", "url": "http://example.org/x", "name": "x",
        "status": "active", "description": "x", "code": "x", "base": ["Patient"],
        "type": "string", "expression": "Patient.name.text",
    }  # fmt: skip
    entry = {"request": {"method": "POST", "url": "SearchParameter"}, "resource": defined}
    answer = await client.post("", json=bundle("transaction", entry, _move(target)))
    assert "cannot be in one transaction" in refusal_of(answer, 400, "not-supported")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"performer": "Practitioner/none"}, "performer: there is no 'Practitioner/none' here"),
        ({"location": "Location/none"}, "location: there is no 'Location/none' here"),
        ({"end": "2026-11-30"}, "end=2026-11-30 is before time="),
        ({"location": "PATIENT"}, "location: expected a reference to a Location"),
    ],
)
async def test_ord_5_wrong_input_is_422(
    client: httpx.AsyncClient, given: dict[str, str], told: str
) -> None:
    at = await ward(client)
    target = await ordered(client, "imaging", at)
    real = {name: at.patient if value == "PATIENT" else value for name, value in given.items()}
    answer = await call(client, target, "schedule", time=SOON, **real)
    assert told in refusal_of(answer, 422)
    assert codes(resource_of(answer, 422)) == ["VALIDATION_ERROR"]


async def test_step_cannot_have_taken_place_in_the_future(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    await step(client, target, "schedule", time=SOON)
    answer = await call(client, target, "start", time="2099-01-01")
    assert "is in the future" in refusal_of(answer, 422)


async def test_what_steps_note_on_a_task_stays(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    await step(client, target, "schedule", time=SOON)
    await step(client, target, "hold", reason="Patient has a fever")
    task = resource_of(await client.get(target.replace("ServiceRequest", "Task")))
    bare = task | {"extension": [e for e in task["extension"] if "step-note" not in e["url"]]}
    answer = await client.put(f"Task/{task['id']}", json=bare)
    assert "notes of steps" in refusal_of(answer, 409)
    more = task | {"description": "Two views", "extension": [*task["extension"], {"url": "urn:x",
                   "valueString": "kept"}]}  # fmt: skip
    resource_of(await client.put(f"Task/{task['id']}", json=more))
    done = await step(client, target, "resume")
    assert done["state"] == "scheduled"
    assert done["task"]["description"] == "Two views"
    assert "urn:x" in [each["url"] for each in done["task"]["extension"]]


async def test_references_to_this_server_are_kept_relative(client: httpx.AsyncClient) -> None:
    base = "http://test/fhir"
    who = await practitioner(client, "technician")
    target = await ordered(client, "laboratory")
    done = await step(client, target, "collect-sample", actor=f"{base}/{who}")
    assert done["specimen"]["collection"]["collector"] == {"reference": who}


async def test_performer_who_is_not_active_is_refused(client: httpx.AsyncClient) -> None:
    gone = await practitioner(client, "technician", active=False)
    answer = await call(client, await ordered(client), "schedule", time=SOON, performer=gone)
    assert f"performer: {gone} is not active" in refusal_of(answer, 422)


async def test_report_for_a_cancelled_order_is_refused(client: httpx.AsyncClient) -> None:
    target = await performed(client)
    await step(client, target, "cancel", reason="no longer needed")
    answer = await call(client, target, "report", **texts())
    assert f"{target} is cancelled" in refusal_of(answer, 409)
    device = (await staff(client)).device
    answer = await call(client, target, "report", **texts(actor=device))
    assert codes(resource_of(answer, 409)) == ["INVALID_STATUS_TRANSITION"]


async def test_order_goes_on_after_its_encounter_is_over(client: httpx.AsyncClient) -> None:
    """The patient has gone home; the images are still to be reported."""
    at = await ward(client)
    target = await ordered(client, "imaging", at)
    over = resource_of(await client.get(at.encounter)) | {"status": "finished"}
    resource_of(await client.put(at.encounter, json=over))
    assert (await step(client, target, "schedule", time=SOON))["state"] == "scheduled"


async def test_specimen_that_is_here_is_linked(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    tube = {"resourceType": "Specimen", "subject": {"reference": at.patient}}
    specimen = await reference(client, tube)
    target = await ordered(client, "laboratory", at)
    done = await step(client, target, "collect-sample", specimen=specimen)
    assert done["order"]["specimen"] == [{"reference": specimen}]
    assert "specimen" not in done
    foreign = await reference(
        client, tube | {"subject": {"reference": (await ward(client)).patient}}
    )
    other = await ordered(client, "laboratory", at)
    answer = await call(client, other, "collect-sample", specimen=foreign)
    assert f"{foreign} is of" in refusal_of(answer, 422)
    both = await call(client, other, "collect-sample", specimen=specimen, type={"text": "blood"})
    assert "expected one of both" in refusal_of(both, 422)


async def test_device_needs_a_specimen_to_report_what_was_never_collected(
    client: httpx.AsyncClient,
) -> None:
    """ORD-6."""
    at = await ward(client)
    device = (await staff(client)).device
    target = await ordered(client, "laboratory", at)
    given = texts(observation=observation("718-7", 13), actor=device)
    answer = await call(client, target, "report", **given)
    assert "nothing tells of collect-sample" in refusal_of(answer, 409)
    tube = {"resourceType": "Specimen", "subject": {"reference": at.patient}}
    specimen = await reference(client, tube)
    done = await step(client, target, "report", **given, specimen=specimen)
    assert done["state"] == "reported"
    assert done["report"]["specimen"] == [{"reference": specimen}]
    assert len(done["task"]["relevantHistory"]) == 5


async def test_prefer_minimal_gives_no_body(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    body = parameters("ServiceRequest-schedule", {"time": SOON})
    headers = {"Prefer": "return=minimal"}
    answer = await client.post(f"{target}/$schedule", json=body, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_steps_are_written_in_xml_too(client: httpx.AsyncClient) -> None:
    target = await ordered(client)
    body = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="time"/>'
        f'<valueDateTime value="{LATER}"/></parameter></Parameters>'
    )
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = await client.post(f"{target}/$schedule", content=body, headers=headers)
    assert answer.status_code == 200
    assert '<valueCode value="scheduled"/>' in answer.text


async def test_plain_service_requests_stay_as_they_are(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    plain = {"resourceType": "ServiceRequest", "status": "draft", "intent": "plan",
             "subject": {"reference": at.patient}}  # fmt: skip
    found = await create(client, plain)
    assert "relevantHistory" not in found
