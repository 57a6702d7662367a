"""SearchParameters that are posted: from the definition to what they find."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server.search.keys import key, token_any_system
from tests.indexing.workers import (
    holding_writes,
    ids,
    index_status,
    parameter,
    searchable,
    until_complete,
    workers,
)
from tests.interactions.searching import containing

EYES = "http://example.org/eyes"


@pytest.fixture(scope="module")
async def both(database: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two workers on one database."""
    async with workers(database, 2) as clients:
        yield clients


def patient(id_: str, eyes: str, **more: Any) -> dict[str, Any]:
    extension = [{"url": EYES, "valueCode": eyes}]
    return {"resourceType": "Patient", "id": id_, "extension": extension} | more


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text
    return answer


async def made(client: httpx.AsyncClient, definition: dict[str, Any]) -> str:
    """Post a SearchParameter; its id."""
    answer = await client.post("SearchParameter", json=definition)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def unknown(client: httpx.AsyncClient, query: str) -> bool:
    answer = await client.get(query)
    return answer.status_code == 400 and "Unknown search parameter" in answer.text


async def soon(client: httpx.AsyncClient, query: str, within: float = 1.0) -> None:
    """Return once a parameter is unknown to a worker."""
    end = time.monotonic() + within
    while not await unknown(client, query):
        assert time.monotonic() < end, "a worker has not heard of the change"
        await asyncio.sleep(0.01)


async def test_a_parameter_finds_what_was_stored_before_it_and_after_on_every_worker(
    both: list[httpx.AsyncClient],
) -> None:
    one, other = both
    await put(one, patient("before", "green"))
    await put(one, patient("different", "brown"))
    await made(one, parameter("eyes", f"Patient.extension('{EYES}').value as code"))
    await put(other, patient("after", "green"))
    for client in both:
        await searchable(client, "Patient?eyes=green")
        assert await ids(client, "Patient?eyes=green") == {"before", "after"}
        assert await ids(client, "Patient?eyes:not=green&_id=before,different") == {"different"}
    assert await ids(one, "Patient?eyes:missing=true&_id=before,after,different") == set()
    version = (await one.get("Patient/before")).json()["meta"]["versionId"]
    assert version == "1", "reading a resource again made a version"


async def test_a_parameter_of_a_type_is_read_from_contained_resources_too(
    both: list[httpx.AsyncClient],
) -> None:
    one, other = both
    inside = [patient("p", "grey", birthDate="1970"), patient("q", "blue", birthDate="1980")]
    for id_, contained in (("box", inside), ("empty", [])):
        basic = {"resourceType": "Basic", "id": id_, "code": {"text": "x"}}
        await put(one, containing(basic, *contained))
    definition = await made(one, parameter("iris", f"Patient.extension('{EYES}').value as code"))
    await searchable(other, "Patient?iris=grey")
    search = "Patient?_contained=true&iris="
    assert await ids(other, f"{search}grey") == {"box"}
    assert await ids(other, f"{search}grey&birthdate=1970") == {"box"}
    assert await ids(other, f"{search}grey&birthdate=1980") == set()
    assert await ids(other, f"{search}green") == set()
    assert (await one.delete(f"SearchParameter/{definition}")).status_code in (200, 204)
    await until_complete(one, other)


async def test_until_everything_is_read_searches_are_refused_with_the_progress(
    both: list[httpx.AsyncClient], database: str
) -> None:
    one, other = both
    await put(one, patient("held", "grey", active=True))
    async with holding_writes(database):
        await made(one, parameter("in-use", "Patient.active"))
        for client in both:
            for query in ("Patient?in-use=true", "Observation?subject:Patient.in-use=true"):
                answer = await client.get(query, headers={"Prefer": "handling=lenient"})
                # The other worker may not have heard yet; then the parameter is unknown to it.
                while answer.status_code == 200 and "Unknown" in answer.text:
                    await asyncio.sleep(0.01)
                    answer = await client.get(query, headers={"Prefer": "handling=lenient"})
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
                issue = answer.json()["issue"][0]
                assert issue["code"] == "transient"
                assert "'in-use' of Patient is being indexed" in issue["diagnostics"]
        status = await index_status(other)
        assert status["complete"] is False
        assert status["searchable"] is True
        assert status["parameters"]["in-use"]["state"] == "indexing"
        assert status["parameters"]["in-use"]["searchable"] is False
        assert "in-use" not in await declared(one)
        assert (await one.get("Patient?active=true")).status_code == 200
    await searchable(other, "Patient?in-use=true")
    assert "held" in await ids(other, "Patient?in-use=true")
    assert "in-use" in await declared(other)


async def declared(client: httpx.AsyncClient) -> set[str]:
    statement = (await client.get("metadata")).json()
    patients = next(item for item in statement["rest"][0]["resource"] if item["type"] == "Patient")
    return {item["name"] for item in patients["searchParam"]}


async def test_a_changed_definition_is_indexed_anew_before_it_answers(
    both: list[httpx.AsyncClient],
) -> None:
    one, other = both
    await put(one, patient("mobile", "blue", gender="male"))
    definition = parameter("either", "Patient.gender")
    id_ = await made(one, definition)
    await searchable(one, "Patient?either=male")
    await searchable(other, "Patient?either=male")
    changed = definition | {"id": id_, "expression": "Patient.id", "type": "token"}
    await put(one, changed)
    assert (await one.get("Patient?either=mobile")).status_code == 503
    await until_complete(one)
    for client in both:
        await searchable(client, "Patient?either=mobile")
        assert await ids(client, "Patient?either=mobile") == {"mobile"}
        assert await ids(client, "Patient?either=male") == set()


async def test_words_that_change_nothing_searched_by_make_no_work(
    both: list[httpx.AsyncClient],
) -> None:
    one, _ = both
    definition = parameter("quiet", "Patient.language")
    id_ = await made(one, definition)
    await searchable(one, "Patient?quiet=de")
    generation = (await index_status(one))["generation"]
    await put(one, definition | {"id": id_, "description": "said better"})
    assert (await index_status(one))["generation"] == generation
    assert (await one.get("Patient?quiet=de")).status_code == 200


@pytest.mark.parametrize("end", ["retired", "draft", "deleted"])
async def test_a_parameter_that_ends_is_unknown_at_once_and_its_entries_go(
    both: list[httpx.AsyncClient], database: str, end: str
) -> None:
    one, other = both
    await put(one, patient(f"of-{end}", end))
    definition = parameter(f"end-{end}", f"Patient.extension('{EYES}').value as code")
    id_ = await made(one, definition)
    query = f"Patient?end-{end}={end}"
    for client in both:
        await searchable(client, query)
        assert await ids(client, query) == {f"of-{end}"}
    assert await count_of(database, f"of-{end}", f"Patient|end-{end}", end) == 1
    if end == "deleted":
        await one.delete(f"SearchParameter/{id_}")
    else:
        await put(one, definition | {"id": id_, "status": end})
    assert await unknown(one, query)
    await soon(other, query)
    await until_complete(one)
    assert f"end-{end}" not in (await index_status(one))["parameters"]
    # Were the entries still there, the same code would find them before it is indexed.
    assert await count_of(database, f"of-{end}", f"Patient|end-{end}", end) == 0
    assert (await one.get(f"Patient/of-{end}")).json()["meta"]["versionId"] == "1"


async def count_of(database: str, id_: str, name: str, value: str) -> int:
    """How many rows of an id have the search key of a value."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "select count(*) from tenant_default.resource where id = %s and %s = any(keys)",
            (id_, key(name, token_any_system(value))),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_parameter_comes_in_by_every_door(both: list[httpx.AsyncClient]) -> None:
    one, _ = both
    await put(one, patient("door", "violet", maritalStatus={"text": "quite"}))
    generation = (await index_status(one))["generation"]

    updated = parameter("by-update", "Patient.id") | {"id": "by-update"}
    await put(one, updated)
    await searchable(one, "Patient?by-update=door")

    entry = {
        "resource": parameter("by-transaction", "Patient.id"),
        "request": {"method": "POST", "url": "SearchParameter"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await one.post("", json=bundle)).status_code == 200
    await searchable(one, "Patient?by-transaction=door")

    entry["resource"] = parameter("by-batch", "Patient.id")
    assert (await one.post("", json=bundle | {"type": "batch"})).status_code == 200
    await searchable(one, "Patient?by-batch=door")

    draft = parameter("by-patch", "Patient.id") | {"id": "by-patch", "status": "draft"}
    await put(one, draft)
    assert await unknown(one, "Patient?by-patch=door")
    patch = [{"op": "replace", "path": "/status", "value": "active"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await one.patch("SearchParameter/by-patch", json=patch, headers=headers)
    assert answer.status_code == 200, answer.text
    await searchable(one, "Patient?by-patch=door")

    conditional = parameter("by-condition", "Patient.id")
    answer = await one.put(f"SearchParameter?url={conditional['url']}", json=conditional)
    assert answer.status_code == 201, answer.text
    await searchable(one, "Patient?by-condition=door")

    for name in ("by-update", "by-transaction", "by-batch", "by-patch", "by-condition"):
        assert await ids(one, f"Patient?{name}=door") == {"door"}, name
    assert (await index_status(one))["generation"] == generation + 5


async def test_a_transaction_that_fails_leaves_no_parameter(both: list[httpx.AsyncClient]) -> None:
    one, _ = both
    generation = (await index_status(one))["generation"]
    entries = [
        {
            "resource": parameter("undone", "Patient.id"),
            "request": {"method": "POST", "url": "SearchParameter"},
        },
        {
            "resource": parameter("birthdate", "Patient.deceased as dateTime", "date"),
            "request": {"method": "POST", "url": "SearchParameter"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await one.post("", json=bundle)
    assert answer.status_code == 422, answer.text
    issue = answer.json()["issue"][0]
    assert issue["expression"] == ["Bundle.entry[1].resource.code"]
    assert "individual-birthdate" in issue["diagnostics"]
    assert (await index_status(one))["generation"] == generation
    assert await unknown(one, "Patient?undone=x")


async def test_every_kind_of_parameter_is_indexed(both: list[httpx.AsyncClient]) -> None:
    one, _ = both
    await put(one, {"resourceType": "Organization", "id": "o", "name": "O"})
    await put(
        one,
        patient(
            "kinds",
            "red",
            name=[{"text": "Étienne"}],
            birthDate="1999-05-01",
            multipleBirthInteger=3,
            managingOrganization={"reference": "Organization/o"},
            meta={"source": "http://example.org/a/b"},
        ),
    )
    extension = "http://example.org/height"
    quantity = {"value": 1.5, "system": "http://unitsofmeasure.org", "code": "m", "unit": "m"}
    await put(
        one,
        {
            "resourceType": "Patient",
            "id": "tall",
            "extension": [{"url": extension, "valueQuantity": quantity}],
        },
    )
    expected = {
        "k-string=etienne": parameter("k-string", "Patient.name.text", "string"),
        "k-date=1999-05": parameter("k-date", "Patient.birthDate", "date"),
        "k-number=3": parameter("k-number", "Patient.multipleBirth as integer", "number"),
        "k-reference=Organization/o": parameter(
            "k-reference", "Patient.managingOrganization", "reference", target=["Organization"]
        ),
        "k-reference.identifier:missing=true": parameter(
            "k-reference2", "Patient.managingOrganization", "reference"
        ),
        "k-uri=http://example.org/a/b": parameter("k-uri", "Patient.meta.source", "uri"),
    }
    for definition in expected.values():
        await made(one, definition)
    await made(
        one,
        parameter("k-quantity", f"Patient.extension('{extension}').value as Quantity", "quantity"),
    )
    await until_complete(one)
    for query in expected:
        await searchable(one, f"Patient?{query}")
        assert await ids(one, f"Patient?{query}") == {"kinds"}, query
    assert await ids(one, "Patient?k-quantity=150|http://unitsofmeasure.org|cm") == {"tall"}


async def test_a_composite_of_own_parameters_needs_them(both: list[httpx.AsyncClient]) -> None:
    one, _ = both
    system = parameter("tel-system", "Patient.telecom.system")
    use = parameter("tel-use", "Patient.telecom.use")
    composite = parameter(
        "tel-both",
        "Patient.telecom",
        "composite",
        component=[
            {"definition": system["url"], "expression": "system"},
            {"definition": use["url"], "expression": "use"},
        ],
    )
    refused = await one.post("SearchParameter", json=composite)
    assert refused.status_code == 422
    assert [issue["expression"] for issue in refused.json()["issue"]] == [
        ["SearchParameter.component[0].definition"],
        ["SearchParameter.component[1].definition"],
    ]
    telecom = [{"system": "phone", "use": "home"}, {"system": "email", "use": "work"}]
    await put(one, patient("phone", "x", telecom=telecom))
    needed = await made(one, system)
    await made(one, use)
    await made(one, composite)
    await until_complete(one)
    await searchable(one, "Patient?tel-both=phone$home")
    assert await ids(one, "Patient?tel-both=phone$home") == {"phone"}
    assert await ids(one, "Patient?tel-both=phone$work") == set()
    answer = await one.delete(f"SearchParameter/{needed}")
    assert answer.status_code == 409, answer.text
    assert "tel-both" in answer.text
    assert (await one.get(f"SearchParameter/{needed}")).status_code == 200


async def test_a_parameter_for_all_types_is_found_on_each(both: list[httpx.AsyncClient]) -> None:
    one, _ = both
    tag = {"tag": [{"system": "http://example.org/tags", "code": "seen"}]}
    await put(one, {"resourceType": "Basic", "id": "b", "meta": tag, "code": {"text": "t"}})
    await put(one, patient("tagged", "x", meta=tag))
    await made(one, parameter("label", "Resource.meta.tag", base=["Resource"]))
    await until_complete(one)
    await searchable(one, "Basic?label=seen")
    assert await ids(one, "Basic?label=seen") == {"b"}
    assert await ids(one, "Patient?label=seen") == {"tagged"}
    assert await ids(one, "?label=seen") == {"b", "tagged"}
