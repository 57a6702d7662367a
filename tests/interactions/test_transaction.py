"""transaction: all entries or none (R4 http.html#transaction, #trules)."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.bundles import (
    Entry,
    bundle,
    entry,
    numbered,
    observation,
    refused,
    send,
    statuses,
    stored,
    urn,
    written,
)

PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Trans"}]}


async def test_answers_stand_in_the_order_of_the_entries(client: httpx.AsyncClient) -> None:
    await client.put("Patient/a", json=PATIENT | {"id": "a"})
    await client.put("Patient/b", json=PATIENT | {"id": "b"})
    answers = await send(
        client,
        "transaction",
        entry("GET", "Patient/b"),
        entry("PUT", "Patient/b", PATIENT | {"id": "b", "gender": "male"}),
        entry("POST", "Patient", PATIENT),
        entry("DELETE", "Patient/a"),
        entry("GET", "Patient?_id=a,b"),
        entry("HEAD", "Patient/b"),
    )
    assert statuses(answers) == [200, 200, 201, 204, 200, 200]


async def test_reads_see_what_is_written_whatever_their_place(client: httpx.AsyncClient) -> None:
    await client.put("Patient/c", json=PATIENT | {"id": "c"})
    answers = await send(
        client,
        "transaction",
        entry("GET", "Patient/c"),
        entry("GET", "Patient?_id=c,d"),
        entry("GET", "Patient/c/_history"),
        entry("PUT", "Patient/c", PATIENT | {"id": "c", "gender": "female"}),
        entry("PUT", "Patient/d", PATIENT | {"id": "d"}),
    )
    assert answers[0]["resource"]["gender"] == "female"
    assert answers[1]["resource"]["total"] == 2
    assert answers[2]["resource"]["total"] == 2


async def test_a_read_that_fails_fails_everything(client: httpx.AsyncClient) -> None:
    told = await refused(
        client,
        404,
        "not-found",
        entry("PUT", "Patient/e", PATIENT | {"id": "e"}),
        entry("GET", "Patient/nobody"),
    )
    assert "'nobody'" in told


async def test_one_invalid_entry_refuses_all_and_every_fault_is_told_with_its_place(
    client: httpx.AsyncClient,
) -> None:
    body = bundle(
        "transaction",
        entry("POST", "Patient", PATIENT),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "x"}),
        entry("PUT", "Patient/f", {"resourceType": "Patient", "id": "g"}),
        entry("POST", "Nonsense", {"resourceType": "Nonsense"}),
        entry("PUT", "Observation/h", {"resourceType": "Observation", "id": "h"}),
    )
    before = await stored(client)
    answer = await client.post("", json=body)
    refusal_of(answer, 400)
    places = {issue["expression"][0] for issue in answer.json()["issue"]}
    assert "Bundle.entry[1].resource.gender" in places
    assert "Bundle.entry[2].resource.id" in places
    assert any(place.startswith("Bundle.entry[3]") for place in places)
    assert "Bundle.entry[4].resource.status" in places
    assert not any(place.startswith("Bundle.entry[0]") for place in places)
    assert await stored(client) == before


async def test_conditions_written_differently_for_one_thing_are_each_answered(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Observation/same", json=observation("Patient/same", id="same"))
    answers = await send(
        client,
        "transaction",
        entry("POST", "Observation", observation(), ifNoneExist="subject=Patient/same"),
        entry("POST", "Observation", observation(), ifNoneExist="subject:Patient=same"),
    )
    assert statuses(answers) == [200, 200]
    assert {written(item) for item in answers} == {"Observation/same"}


async def test_conditional_updates_and_deletes_resolve_to_what_they_match(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Patient/cu", json=numbered("cu", id="cu"))
    await client.put("Patient/cd", json=numbered("cd", id="cd"))
    answers = await send(
        client,
        "transaction",
        entry("PUT", "Patient?identifier=urn:mrn|cu", numbered("cu", gender="male"), urn(1)),
        entry("PUT", "Patient?identifier=urn:mrn|cn", numbered("cn")),
        entry("DELETE", "Patient?identifier=urn:mrn|cd"),
        entry("DELETE", "Patient?identifier=urn:mrn|nobody"),
        entry("POST", "Observation", observation(urn(1))),
    )
    assert statuses(answers) == [200, 201, 204, 204, 201]
    assert written(answers[0]) == "Patient/cu"
    assert (await client.get("Patient/cd")).status_code == 410
    found = resource_of(await client.get(written(answers[4])))
    assert found["subject"]["reference"] == "Patient/cu"


async def test_a_conditional_update_never_overwrites_what_it_does_not_match(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Patient/kept", json=numbered("kept", id="kept"))
    body = numbered("another", id="kept")
    await refused(
        client, 409, "duplicate", entry("PUT", "Patient?identifier=urn:mrn|another", body)
    )


CONDITION = "identifier=urn:mrn|twice"
KNOWN = "identifier=urn:mrn|overlap"


@pytest.mark.parametrize(
    "entries",
    [
        [entry("PUT", "Patient/o", PATIENT | {"id": "o"})] * 2,
        [entry("PUT", "Patient/o", PATIENT | {"id": "o"}), entry("DELETE", "Patient/o")],
        [entry("POST", "Patient", numbered("twice"), ifNoneExist=CONDITION)] * 2,
        [entry("PUT", f"Patient?{CONDITION}", numbered("twice"))] * 2,
        [
            entry("POST", "Patient", numbered("twice"), ifNoneExist=CONDITION),
            entry("PUT", f"Patient?{CONDITION}", numbered("twice")),
        ],
        [
            entry("PUT", f"Patient?{KNOWN}", numbered("overlap")),
            entry("PUT", "Patient/overlap", numbered("overlap", id="overlap")),
        ],
        [entry("DELETE", f"Patient?{KNOWN}"), entry("DELETE", "Patient/overlap")],
        [
            entry("DELETE", "Patient/overlap"),
            entry("POST", "Patient", numbered("overlap"), ifNoneExist=KNOWN),
        ],
        [
            entry("POST", "Patient", numbered("overlap"), ifNoneExist=KNOWN),
            entry("DELETE", f"Patient?{KNOWN}"),
        ],
    ],
)
async def test_two_entries_that_mean_one_identity_fail(
    client: httpx.AsyncClient, entries: list[Entry]
) -> None:
    await client.put("Patient/overlap", json=numbered("overlap", id="overlap"))
    told = await refused(client, 400, "duplicate", entry("POST", "Patient", PATIENT), *entries)
    assert "Entries 1 and 2" in told or "Entries 2 and 1" in told


async def test_a_failed_tag_fails_everything(client: httpx.AsyncClient) -> None:
    await client.put("Patient/im", json=PATIENT | {"id": "im"})
    changed = PATIENT | {"id": "im", "gender": "male"}
    write = entry("POST", "Patient", PATIENT)
    await refused(
        client, 412, "conflict", write, entry("PUT", "Patient/im", changed, ifMatch='W/"2"')
    )
    await refused(client, 412, None, write, entry("DELETE", "Patient/im", ifMatch='W/"2"'))
    answers = await send(
        client, "transaction", write, entry("PUT", "Patient/im", changed, ifMatch='W/"1"')
    )
    assert statuses(answers) == [201, 200]


async def test_an_update_that_changes_nothing_makes_no_version(client: httpx.AsyncClient) -> None:
    put = entry("PUT", "Patient/noop", PATIENT | {"id": "noop"})
    assert statuses(await send(client, "transaction", put)) == [201]
    (item,) = await send(client, "transaction", put)
    assert item["response"]["status"].startswith("200")
    assert item["response"]["etag"] == 'W/"1"'


async def test_what_was_deleted_comes_back_by_update(client: httpx.AsyncClient) -> None:
    put = entry("PUT", "Patient/back", PATIENT | {"id": "back"})
    await send(client, "transaction", put)
    await send(client, "transaction", entry("DELETE", "Patient/back"))
    (item,) = await send(client, "transaction", put)
    assert item["response"]["etag"] == 'W/"3"'
    assert item["response"]["status"].startswith("201")


async def test_many_entries_of_all_kinds_are_indexed_as_single_ones_are(
    client: httpx.AsyncClient,
) -> None:
    entries = []
    for number in range(150):
        entries.append(entry("POST", "Patient", numbered(f"many-{number}"), urn(number)))
        quantity = {"value": number, "unit": "mmol/L"}
        entries.append(
            entry(
                "POST",
                "Observation",
                observation(urn(number), valueQuantity=quantity, effectiveDateTime="1999-01-01"),
            )
        )
    await send(client, "transaction", *entries, Prefer="return=minimal")
    patient = resource_of(await client.get("Patient?identifier=urn:mrn|many-149"))["entry"][0]
    about = resource_of(
        await client.get(f"Observation?subject=Patient/{patient['resource']['id']}")
    )
    assert about["entry"][0]["resource"]["valueQuantity"]["value"] == 149
    high = resource_of(
        await client.get("Observation?value-quantity=ge100&date=1999&_summary=count")
    )
    assert high["total"] == 50
    named = resource_of(await client.get("Patient?family=trans&_summary=count"))
    assert named["total"] >= 150


async def test_decimals_keep_their_digits(client: httpx.AsyncClient) -> None:
    text = (
        '{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"PUT",'
        '"url":"Observation/dec"},"resource":{"resourceType":"Observation","id":"dec",'
        '"status":"final","code":{"text":"x"},"valueQuantity":{"value":1.0E+3},'
        '"component":[{"code":{"text":"y"},"valueQuantity":{"value":1.500}}]}}]}'
    )
    assert (await client.post("", content=text)).status_code == 200
    read = (await client.get("Observation/dec")).text
    assert "1.0E+3" in read
    assert "1.500" in read


@pytest.mark.parametrize(
    ("returns", "expected"), [("minimal", False), ("representation", True), (None, True)]
)
async def test_prefer_decides_whether_resources_come_back(
    client: httpx.AsyncClient, returns: str | None, expected: bool
) -> None:
    headers = {"Prefer": f"return={returns}"} if returns else {}
    (item,) = await send(client, "transaction", entry("POST", "Patient", PATIENT), **headers)
    assert ("resource" in item) == expected


@pytest.mark.parametrize(
    "item",
    [
        entry("POST", "/", {"resourceType": "Bundle", "type": "batch"}),
        entry("POST", "Patient/_search"),
        entry("PATCH", "Patient/a"),
        entry("DELETE", "Patient"),
        entry("PUT", "Patient", PATIENT),
        entry("POST", "Patient"),
        entry("POST", "Patient/a", PATIENT),
        entry("PUT", "Patient/a_b", PATIENT | {"id": "a_b"}),
        entry("GET", "Patient?name=%00"),
        entry("GET", "Patient/%00"),
        entry("DELETE", "Patient/%00"),
        entry("POST", "Patient", PATIENT, ifNoneExist="name=%00"),
        entry("POST", "Patient", PATIENT, ifNoneExist="name=%FF"),
        entry("POST", "Patient", PATIENT, ifNoneExist="nonsense=1"),
        entry("PUT", "Patient?_count=1", PATIENT),
        entry("POST", "Observation", observation("Patient?nonsense=1")),
        entry("POST", "Observation", observation("Patient?identifier=%FF")),
        entry("GET", "http://elsewhere.example/fhir/Patient/1"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_nothing_stored(
    client: httpx.AsyncClient, item: Entry
) -> None:
    before = await stored(client)
    body = bundle("transaction", entry("POST", "Patient", PATIENT), item)
    answer = await client.post("", json=body)
    assert 400 <= answer.status_code < 500
    refusal_of(answer, answer.status_code)
    assert await stored(client) == before


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_an_outcome_for_each_write_comes_when_preferred(
    client: httpx.AsyncClient, kind: str
) -> None:
    answers = await send(
        client,
        kind,
        entry("POST", "Patient", PATIENT),
        entry("DELETE", "Patient/nobody"),
        entry("GET", "metadata"),
        Prefer="return=OperationOutcome",
    )
    assert [("outcome" in item["response"]) for item in answers] == [True, True, False]
    assert [("resource" in item) for item in answers] == [False, False, True]
