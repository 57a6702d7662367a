"""An order is the same, whichever way it came (ORD-11)."""

from typing import Any

import httpx
import pytest

from fhir_server.operations.message_events import SYSTEM
from fhir_server.workflow.canonicals import ORDER_STEP
from tests.answers import resource_of
from tests.workflow.ordering import (
    Resource,
    accession,
    codes,
    encounter,
    number,
    order,
    state,
    task_of,
    ward,
)

PLACER = {"system": "http://example.org/placer", "value": "P1"}


def transaction(*entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def entry(method: str, url: str, resource: Resource | None = None, **more: Any) -> Resource:
    found: Resource = {"request": {"method": method, "url": url} | more}
    return found | ({"resource": resource} if resource else {})


async def by_post(client: httpx.AsyncClient, given: Resource) -> Resource:
    return resource_of(await client.post("ServiceRequest", json=given), 201)


async def by_put(client: httpx.AsyncClient, given: Resource) -> Resource:
    id_ = f"put-{given['subject']['reference'][-20:]}"
    found = await client.put(f"ServiceRequest/{id_}", json=given | {"id": id_})
    return resource_of(found, 201)


async def by_conditional_create(client: httpx.AsyncClient, given: Resource) -> Resource:
    headers = {"If-None-Exist": f"subject={given['subject']['reference']}"}
    return resource_of(await client.post("ServiceRequest", json=given, headers=headers), 201)


async def by_conditional_update(client: httpx.AsyncClient, given: Resource) -> Resource:
    query = {"subject": given["subject"]["reference"]}
    return resource_of(await client.put("ServiceRequest", params=query, json=given), 201)


async def by_batch(client: httpx.AsyncClient, given: Resource) -> Resource:
    bundle = transaction(entry("POST", "ServiceRequest", given)) | {"type": "batch"}
    return await only_entry(client, bundle)


async def by_transaction(client: httpx.AsyncClient, given: Resource) -> Resource:
    return await only_entry(client, transaction(entry("POST", "ServiceRequest", given)))


async def by_put_in_transaction(client: httpx.AsyncClient, given: Resource) -> Resource:
    id_ = f"tx-{given['subject']['reference'][-20:]}"
    given = given | {"id": id_}
    return await only_entry(client, transaction(entry("PUT", f"ServiceRequest/{id_}", given)))


async def by_conditional_reference(client: httpx.AsyncClient, given: Resource) -> Resource:
    patient = given["subject"]["reference"].removeprefix("Patient/")
    return await by_post(client, given | {"subject": {"reference": f"Patient?_id={patient}"}})


async def by_update_of_another_request(client: httpx.AsyncClient, given: Resource) -> Resource:
    plain = {name: value for name, value in given.items() if name != "category"}
    stored = await by_post(client, plain)
    changed = given | {"id": stored["id"]}
    return resource_of(await client.put(f"ServiceRequest/{stored['id']}", json=changed))


async def by_patch_of_another_request(client: httpx.AsyncClient, given: Resource) -> Resource:
    plain = {name: value for name, value in given.items() if name != "category"}
    stored = await by_post(client, plain)
    patch = [{"op": "add", "path": "/category", "value": given["category"]}]
    headers = {"Content-Type": "application/json-patch+json"}
    url = f"ServiceRequest/{stored['id']}"
    return resource_of(await client.patch(url, json=patch, headers=headers))


async def by_message(client: httpx.AsyncClient, given: Resource) -> Resource:
    header = {
        "resourceType": "MessageHeader",
        "id": "m1",
        "eventCoding": {"system": SYSTEM, "code": "provide"},
        "source": {"endpoint": "http://example.org/sender"},
    }
    message = {
        "resourceType": "Bundle",
        "type": "message",
        "entry": [{"resource": header}, {"resource": given}],
    }
    answer = resource_of(await client.post("$process-message", json=message))
    assert answer["entry"][0]["resource"]["response"]["code"] == "ok", answer
    subject = given["subject"]["reference"]
    found = resource_of(await client.get("ServiceRequest", params={"subject": subject}))
    stored: Resource = found["entry"][0]["resource"]
    return stored


async def only_entry(client: httpx.AsyncClient, bundle: Resource) -> Resource:
    (answer,) = resource_of(await client.post("", json=bundle))["entry"]
    assert answer["response"]["status"] in ("200 OK", "201 Created"), answer
    stored: Resource = answer["resource"]
    return stored


WAYS = [
    by_post,
    by_put,
    by_conditional_create,
    by_conditional_update,
    by_batch,
    by_transaction,
    by_put_in_transaction,
    by_conditional_reference,
    by_update_of_another_request,
    by_patch_of_another_request,
    by_message,
]


def comparable(resource: Resource, id_: str) -> Any:
    """A resource without what differs from one to the next."""
    leaving = {"id", "meta", "identifier", "authoredOn", "lastModified", "relevantHistory"}
    times = {"recorded", "occurredDateTime"}
    kept = {name: value for name, value in resource.items() if name not in leaving | times}
    return _renamed(kept, id_)


def _renamed(value: Any, id_: str) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(each, id_) for name, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, id_) for each in value]
    return value.replace(id_, "ID") if isinstance(value, str) else value


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_ord_11_every_way_gives_the_same_order_task_and_provenance(
    client: httpx.AsyncClient, way: Any
) -> None:
    at = await ward(client)
    plain = await by_post(client, order(at))
    other = await ward(client)
    found = await way(client, order(other))
    assert found["meta"]["versionId"] in ("1", "2")
    assert number(found) != number(plain)
    assert accession(found) != accession(plain)
    expected: list[Any] = []
    seen: list[Any] = []
    for each, into in ((plain, expected), (found, seen)):
        id_ = each["id"]
        (history,) = each["relevantHistory"]
        told = resource_of(await client.get(history["reference"]))
        task = await task_of(client, each)
        assert state(task) == "ordered"
        assert told["activity"]["coding"] == [{"system": ORDER_STEP, "code": "create"}]
        into += [comparable(resource, id_) for resource in (each, task, told)]
    names = dict(zip(vars_of(at), vars_of(other), strict=True))
    assert [_replaced(each, names) for each in expected] == seen


def vars_of(at: Any) -> list[str]:
    return [at.patient, at.encounter, at.practitioner]


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


async def test_ord_11_an_order_may_come_with_those_it_names(client: httpx.AsyncClient) -> None:
    urns = [f"urn:uuid:0e5b1b1c-0000-4000-8000-00000000000{n}" for n in range(6)]
    patient, visit, practitioner, role, condition, request = urns
    at = await ward(client)
    given = order(at) | {
        "subject": {"reference": patient},
        "encounter": {"reference": visit},
        "requester": {"reference": role},
        "reasonReference": [{"reference": condition}],
    }
    del given["reasonCode"]
    entries = [
        entry("POST", "ServiceRequest", given) | {"fullUrl": request},
        entry("POST", "Condition", {
            "resourceType": "Condition",
            "subject": {"reference": patient},
            "code": {"text": "Suspected pneumonia"},
        }) | {"fullUrl": condition},
        entry("POST", "PractitionerRole", {
            "resourceType": "PractitionerRole",
            "practitioner": {"reference": practitioner},
        }) | {"fullUrl": role},
        entry("POST", "Practitioner", {"resourceType": "Practitioner", "active": True})
        | {"fullUrl": practitioner},
        entry("POST", "Encounter", encounter(patient)) | {"fullUrl": visit},
        entry("POST", "Patient", {"resourceType": "Patient", "active": True})
        | {"fullUrl": patient},
    ]  # fmt: skip
    answer = resource_of(await client.post("", json=transaction(*entries)))
    found = answer["entry"][0]["resource"]
    named = {each["resource"]["resourceType"]: each["resource"]["id"] for each in answer["entry"]}
    assert found["subject"]["reference"] == f"Patient/{named['Patient']}"
    assert found["reasonCode"] == [{"text": "Suspected pneumonia"}]
    task = await task_of(client, found)
    assert task["requester"]["reference"] == f"PractitionerRole/{named['PractitionerRole']}"
    assert task["for"] == found["subject"]


async def test_ord_11_orders_of_one_transaction_get_numbers_of_their_own(
    client: httpx.AsyncClient,
) -> None:
    at = await ward(client)
    types = ("imaging", "laboratory", "procedure", "imaging", "laboratory") * 24
    entries = [entry("POST", "ServiceRequest", order(at, type_)) for type_ in types]
    answer = resource_of(await client.post("", json=transaction(*entries)))
    found = [each["resource"] for each in answer["entry"]]
    assert len({number(each) for each in found}) == len({accession(each) for each in found}) == 120
    task = await task_of(client, found[119])
    assert state(task) == "ordered"


async def test_ord_11_an_order_that_is_refused_leaves_nothing_of_its_transaction(
    client: httpx.AsyncClient,
) -> None:
    at = await ward(client)
    wrong = order(at) | {"encounter": {"reference": "Encounter/none"}}
    patient = {"resourceType": "Patient", "identifier": [{"value": "nothing-of-it"}]}
    entries = [
        entry("POST", "Patient", patient),
        entry("POST", "ServiceRequest", order(at)),
        entry("POST", "ServiceRequest", wrong),
    ]
    outcome = resource_of(await client.post("", json=transaction(*entries)), 422)
    assert codes(outcome) == ["VALIDATION_ERROR"]
    places = [issue["expression"] for issue in outcome["issue"]]
    assert places == [["Bundle.entry[2].resource.encounter"]]
    found = resource_of(await client.get("Patient", params={"identifier": "nothing-of-it"}))
    assert found["total"] == 0
    found = resource_of(await client.get("Task", params={"patient": at.patient}))
    assert found["total"] == 0


async def test_ord_11_a_message_sent_again_changes_nothing(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    value = {"system": "http://example.org/placer", "value": at.patient}
    given = order(at) | {"identifier": [value]}
    first = await by_message(client, given)
    again = await by_message(client, given)
    assert again == first
    assert first["identifier"][0] == value


async def test_ord_11_the_same_condition_again_finds_the_order(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    first = await by_conditional_create(client, order(at))
    headers = {"If-None-Exist": f"subject={at.patient}"}
    answer = await client.post("ServiceRequest", json=order(at), headers=headers)
    assert resource_of(answer) == first
