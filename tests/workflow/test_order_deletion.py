"""Deleting orders, restoring them, and results that come by plain writes (ORD-6, ORD-10)."""

import asyncio
from typing import Any

import httpx
import pytest

from fhir_server.settings import Settings
from tests.answers import refusal_of, resource_of
from tests.http.serving import serving
from tests.workflow.changing import (
    INVALID_TRANSITION,
    cancel,
    current,
    deletions,
    do,
    patch,
    put,
    started,
)
from tests.workflow.ordering import (
    Resource,
    Ward,
    category,
    codes,
    create,
    order,
    state,
    task_of,
    ward,
)

RESULTS = ["DiagnosticReport", "ImagingStudy", "Observation"]


@pytest.fixture
async def at(client: httpx.AsyncClient) -> Ward:
    return await ward(client)


@pytest.fixture
async def stored(client: httpx.AsyncClient, at: Ward) -> Resource:
    return await create(client, order(at))


def result(type_: str, stored: Resource, **more: Any) -> Resource:
    """A result of an order."""
    found: Resource = {
        "resourceType": type_,
        "status": "preliminary",
        "subject": stored["subject"],
        "basedOn": [{"reference": f"ServiceRequest/{stored['id']}"}],
    }
    if type_ == "ImagingStudy":
        return found | {"status": "available"} | more
    return found | {"code": {"text": "result"}} | more


async def test_ord_10_deleting_an_order_deletes_its_task_and_keeps_its_history(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    assert (await client.delete(f"ServiceRequest/{stored['id']}")).status_code == 204
    for type_ in ("ServiceRequest", "Task"):
        assert (await client.get(f"{type_}/{stored['id']}")).status_code == 410
        history = resource_of(await client.get(f"{type_}/{stored['id']}/_history"))
        assert len(history["entry"]) == 2
    target = f"ServiceRequest/{stored['id']}"
    found = resource_of(await client.get("Provenance", params={"target": target}))
    steps = [each["resource"]["activity"]["coding"][0]["code"] for each in found["entry"]]
    assert sorted(steps) == ["create", "delete"]


@pytest.mark.parametrize("type_", RESULTS)
@pytest.mark.parametrize("way", ["delete", "conditional", "transaction"])
async def test_ord_10_an_order_with_results_cannot_be_deleted(
    client: httpx.AsyncClient, stored: Resource, type_: str, way: str
) -> None:
    stored = await started(client, stored)
    found = await create(client, result(type_, stored))
    if way == "delete":
        answer = await client.delete(f"ServiceRequest/{stored['id']}")
    elif way == "conditional":
        answer = await client.delete("ServiceRequest", params={"_id": stored["id"]})
    else:
        answer = await client.post("", json=deletions(f"ServiceRequest/{stored['id']}"))
    assert f"{type_}/{found['id']}" in refusal_of(answer, 409)
    assert await current(client, stored) == stored


async def test_ord_10_an_order_can_be_deleted_together_with_its_results_and_task(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    stored = await started(client, stored)
    found = await create(client, result("Observation", stored))
    urls = [f"{type_}/{stored['id']}" for type_ in ("ServiceRequest", "Task")]
    resource_of(await client.post("", json=deletions(*urls, f"Observation/{found['id']}")))
    for url in urls:
        assert (await client.get(url)).status_code == 410


async def test_ord_10_an_order_that_gets_a_result_in_the_same_transaction_stays(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    stored = await started(client, stored)
    bundle = deletions(f"ServiceRequest/{stored['id']}")
    request = {"method": "POST", "url": "Observation"}
    bundle["entry"].append({"resource": result("Observation", stored), "request": request})
    assert (await client.post("", json=bundle)).status_code == 409
    assert await current(client, stored) == stored


async def test_ord_10_a_restored_order_goes_on_where_it_was(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    stored = await started(client, stored)
    await client.delete(f"ServiceRequest/{stored['id']}")
    restored = resource_of(await put(client, stored), 201)
    assert restored["identifier"] == stored["identifier"]
    task = await task_of(client, restored)
    assert state(task) == "in-progress"
    assert task["meta"]["versionId"] == "5"
    await do(client, stored, "complete")


async def test_ord_13_a_restored_order_is_held_to_what_it_was(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    other = await ward(client)
    await client.delete(f"ServiceRequest/{stored['id']}")
    wrong: list[tuple[Resource, int]] = [
        ({"subject": {"reference": other.patient}}, 422),
        ({"category": [category("procedure")]}, 422),
        ({"status": "completed"}, 409),
    ]
    for more, status in wrong:
        assert (await put(client, stored | more)).status_code == status
    bare = {name: value for name, value in stored.items() if name != "identifier"}
    assert resource_of(await put(client, bare), 201)["identifier"] == stored["identifier"]


async def test_ord_10_a_result_that_arrives_while_its_order_is_deleted_is_refused_or_keeps_it(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with serving(Settings(database_pool=4), database) as other:
        for _ in range(8):
            stored = await started(client, await create(client, order(at)))
            url = f"ServiceRequest/{stored['id']}"
            deleted, arrived = await asyncio.gather(
                client.delete(url), other.post("Observation", json=result("Observation", stored))
            )
            outcomes = (deleted.status_code, arrived.status_code)
            assert outcomes in ((204, 409), (409, 201)), outcomes


async def test_ord_10_an_order_cancelled_while_images_arrive_keeps_both(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with serving(Settings(database_pool=4), database) as other:
        for _ in range(4):
            stored = await started(client, await create(client, order(at)))
            _, arrived = await asyncio.gather(
                cancel(client, stored),
                other.post("ImagingStudy", json=result("ImagingStudy", stored)),
            )
            assert arrived.status_code == 201
            assert (await current(client, stored))["status"] == "revoked"


async def test_ord_10_two_who_put_one_new_order_at_once_make_one(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with serving(Settings(database_pool=4), database) as other:
        for turn in range(6):
            given = order(at) | {"id": f"at-once-{turn}"}
            answers = await asyncio.gather(*(put(each, given) for each in (client, other) * 2))
            assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
            first, *others = [answer.json() for answer in answers]
            assert all(each == first for each in others)


@pytest.mark.parametrize("type_", ["DiagnosticReport", "Observation"])
async def test_ord_6_a_result_before_anything_was_done_is_refused(
    client: httpx.AsyncClient, at: Ward, type_: str
) -> None:
    stored = await create(client, order(at, "laboratory"))
    given = result(type_, stored)
    answer = await client.post(type_, json=given)
    assert codes(resource_of(answer, 409)) == INVALID_TRANSITION
    answer = await client.put(f"{type_}/early", json=given | {"id": "early"})
    assert "ordered" in refusal_of(answer, 409)
    plain = await create(client, {name: v for name, v in given.items() if name != "basedOn"})
    patched = await patch(client, plain, basedOn=given["basedOn"])
    assert codes(resource_of(patched, 409)) == INVALID_TRANSITION


async def test_ord_6_a_result_that_comes_with_its_order_is_refused(
    client: httpx.AsyncClient, at: Ward
) -> None:
    urn = "urn:uuid:5b0d1b1c-0000-4000-8000-000000000001"
    given = order(at)
    early = result("Observation", given | {"id": "x"}, basedOn=[{"reference": urn}])
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": urn,
                "resource": given,
                "request": {"method": "POST", "url": "ServiceRequest"},
            },
            {"resource": early, "request": {"method": "POST", "url": "Observation"}},
        ],
    }
    outcome = resource_of(await client.post("", json=bundle), 409)
    assert codes(outcome) == INVALID_TRANSITION
    assert outcome["issue"][0]["expression"][0].startswith("Bundle.entry[1]")


@pytest.mark.parametrize("type_", ["DiagnosticReport", "Observation"])
async def test_ord_6_a_cancelled_order_gets_no_result(
    client: httpx.AsyncClient, stored: Resource, type_: str
) -> None:
    await cancel(client, stored)
    answer = await client.post(type_, json=result(type_, stored))
    assert "cancelled" in refusal_of(answer, 409)


async def test_images_of_a_cancelled_order_are_kept(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    await cancel(client, stored)
    await create(client, result("ImagingStudy", stored))


async def test_ord_6_the_final_report_is_made_by_the_operation(
    client: httpx.AsyncClient, stored: Resource
) -> None:
    stored = await started(client, stored)
    given = result("DiagnosticReport", stored, status="final")
    assert "$report" in refusal_of(await client.post("DiagnosticReport", json=given), 409)


@pytest.mark.parametrize("type_", RESULTS)
async def test_a_result_is_of_the_patient_of_its_order(
    client: httpx.AsyncClient, stored: Resource, type_: str
) -> None:
    other = await ward(client)
    given = result(type_, stored, subject={"reference": other.patient})
    answer = await client.post(type_, json=given)
    assert str(stored["subject"]["reference"]) in refusal_of(answer, 422)


async def test_results_of_other_requests_are_as_free_as_ever(
    client: httpx.AsyncClient, at: Ward
) -> None:
    plain = {name: value for name, value in order(at).items() if name != "category"}
    found = await create(client, plain)
    await create(client, result("DiagnosticReport", found, status="final"))
    await create(client, result("DiagnosticReport", found | {"id": "not-here"}, status="final"))
