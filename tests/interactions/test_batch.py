"""batch (R4 http.html#brules)."""

from typing import Any

import httpx
import pytest

from tests.answers import diagnostics_of, refusal_of, resource_of
from tests.interactions.bundles import bundle, entry, send, statuses, urn, written

PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Batch"}]}


async def test_each_entry_stands_for_itself_and_answers_in_its_place(
    client: httpx.AsyncClient,
) -> None:
    answers = await send(
        client,
        "batch",
        entry("GET", "Patient/a"),
        entry("PUT", "Patient/a", PATIENT | {"id": "a"}),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "nonsense"}),
        entry("GET", "Patient/nobody"),
        entry("POST", "Patient", PATIENT),
        entry("DELETE", "Patient/nobody"),
        entry("GET", "Nonsense/1"),
    )
    assert statuses(answers) == [200, 201, 400, 404, 201, 204, 404]
    assert answers[0]["resource"]["id"] == "a"
    assert "Patient.gender" in str(answers[2]["response"]["outcome"])
    assert "'nobody'" in diagnostics_of(answers[3]["response"]["outcome"], "not-found")
    stored = await client.get(written(answers[4]))
    assert resource_of(stored)["name"] == PATIENT["name"]


async def test_answers_carry_tag_location_and_time(client: httpx.AsyncClient) -> None:
    (item,) = await send(client, "batch", entry("PUT", "Patient/b", PATIENT | {"id": "b"}))
    assert item["fullUrl"] == "http://test/fhir/Patient/b"
    assert item["response"]["etag"] == 'W/"1"'
    assert item["response"]["location"] == "http://test/fhir/Patient/b/_history/1"
    assert item["response"]["lastModified"] == item["resource"]["meta"]["lastUpdated"]


async def test_conditions_of_entries_hold_for_them_alone(client: httpx.AsyncClient) -> None:
    changed = PATIENT | {"id": "c", "gender": "male"}
    await client.put("Patient/c", json=PATIENT | {"id": "c"})
    answers = await send(
        client,
        "batch",
        entry("PUT", "Patient/c", changed, ifMatch='W/"9"'),
        entry("GET", "Patient/c", ifNoneMatch='W/"1"'),
        entry("POST", "Patient", PATIENT, ifNoneExist="_id=c"),
        entry("GET", "Patient/c", ifModifiedSince="2016-12-31T23:59:60Z"),
        entry("GET", "Patient/c", ifModifiedSince="9998-01-01T00:00:00Z"),
    )
    assert statuses(answers) == [412, 304, 200, 200, 304]


async def test_searches_answer_with_their_bundle(client: httpx.AsyncClient) -> None:
    await client.put("Patient/d", json=PATIENT | {"id": "d"})
    answers = await send(
        client,
        "batch",
        entry("GET", "Patient?_id=d"),
        entry("POST", "Patient/_search?_id=d"),
        entry("GET", "?_id=d"),
        entry("GET", "http://test/fhir/Patient/d"),
        entry("GET", "/Patient/d/"),
        entry("GET", "Patient/d/_history"),
        entry("GET", "metadata"),
        entry("HEAD", "Patient/d"),
        entry("GET", "Patient?nonsense=1"),
    )
    assert statuses(answers) == [200] * 8 + [400]
    assert [item.get("resource", {}).get("total") for item in answers[:3]] == [1, 1, 1]
    assert "resource" not in answers[7]


@pytest.mark.parametrize(
    ("raw", "expression"),
    [
        ({"request": {"method": "GET"}}, "Bundle.entry[0].request.url"),
        ({"request": {"url": "Patient"}}, "Bundle.entry[0].request.method"),
        ({"request": {"method": "GRAB", "url": "Patient"}}, "Bundle.entry[0].request.method"),
        ({"fullUrl": 5, "request": {"method": "GET", "url": "Patient"}}, "Bundle.entry[0].fullUrl"),
        ({"resuorce": {}}, "Bundle.entry[0]"),
        (5, "Bundle.entry[0]"),
        (None, "Bundle.entry[0]"),
    ],
)
async def test_a_broken_envelope_is_refused_as_a_whole(
    client: httpx.AsyncClient, raw: Any, expression: str
) -> None:
    answer = await client.post("", json=bundle("batch", raw))
    refusal_of(answer, 400)
    places = [issue["expression"][0] for issue in answer.json()["issue"]]
    assert any(place.startswith(expression) for place in places)


EXTENSION = {"extension": [{"url": "http://example.org/x", "valueString": "y"}]}


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "_url": EXTENSION},
        {"url": "Patient", "_method": EXTENSION},
        {"method": "PATCH", "url": "Patient/a"},
        {"method": "POST", "url": "Patient"},
        {"method": "POST", "url": "/"},
        {"method": "GET", "url": "http://elsewhere.example/fhir/Patient/1"},
        {"method": "GET", "url": "Patient?name=%00"},
        {"method": "GET", "url": "Patient/%00"},
        {"method": "GET", "url": "Patient?name=%FF"},
        {"method": "DELETE", "url": "Patient"},
    ],
)
async def test_an_entry_that_cannot_be_carried_out_is_refused_alone(
    client: httpx.AsyncClient, request_: dict[str, Any]
) -> None:
    answers = await send(client, "batch", {"request": request_}, entry("GET", "metadata"))
    assert 400 <= statuses(answers)[0] < 500
    assert diagnostics_of(answers[0]["response"]["outcome"])
    assert statuses(answers)[1] == 200


async def test_a_reference_to_another_entry_is_refused(client: httpx.AsyncClient) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": urn(1)},
    }
    answers = await send(
        client,
        "batch",
        entry("POST", "Patient", PATIENT, urn(1)),
        entry("POST", "Observation", observation, urn(2)),
    )
    assert statuses(answers) == [201, 400]
    assert "transaction" in diagnostics_of(answers[1]["response"]["outcome"])


@pytest.mark.parametrize("kind", ["searchset", "document", "nonsense", None])
async def test_a_bundle_of_another_type_is_refused(
    client: httpx.AsyncClient, kind: str | None
) -> None:
    body = bundle(kind or "", entry("GET", "metadata"))
    if kind is None:
        del body["type"]
    assert "transaction" in refusal_of(await client.post("", json=body), 400)


async def test_what_is_no_bundle_is_refused(client: httpx.AsyncClient) -> None:
    refusal_of(await client.post("", json=PATIENT), 400)


async def test_an_empty_batch_is_answered_by_an_empty_one(client: httpx.AsyncClient) -> None:
    answer = resource_of(await client.post("", json={"resourceType": "Bundle", "type": "batch"}))
    assert answer["type"] == "batch-response"
    assert "entry" not in answer


async def test_more_entries_than_allowed_are_refused(client: httpx.AsyncClient) -> None:
    entries = [entry("GET", "metadata")] * 301
    for kind in ("batch", "transaction"):
        told = refusal_of(await client.post("", json=bundle(kind, *entries)), 413, "too-costly")
        assert "301" in told
        assert "300" in told


@pytest.mark.parametrize(
    ("returns", "resources"), [("minimal", [False, True]), ("representation", [True, True])]
)
async def test_prefer_decides_what_writes_give_back_and_reads_always_give(
    client: httpx.AsyncClient, returns: str, resources: list[bool]
) -> None:
    await client.put("Patient/e", json=PATIENT | {"id": "e"})
    answers = await send(
        client,
        "batch",
        entry("POST", "Patient", PATIENT),
        entry("GET", "Patient/e"),
        Prefer=f"return={returns}",
    )
    assert [("resource" in item) for item in answers] == resources


async def test_deletes_come_first_and_reads_last(client: httpx.AsyncClient) -> None:
    await client.put("Patient/f", json=PATIENT | {"id": "f"})
    answers = await send(
        client,
        "batch",
        entry("GET", "Patient/f"),
        entry("PUT", "Patient/f", PATIENT | {"id": "f"}),
        entry("DELETE", "Patient/f"),
    )
    assert statuses(answers) == [200, 201, 204]
    assert answers[0]["resource"]["meta"]["versionId"] == "3"
