"""Conditional create, update and delete (R4 http.html#ccreate, #cond-update, #3.1.0.7.1)."""

from typing import Any

import httpx
import pytest

from tests.answers import ids_of, refusal_of, resource_of

CONTENT_TYPE = (b"Content-Type", b"application/fhir+json")


def patient(value: str, **more: Any) -> dict[str, Any]:
    """A patient with a record number."""
    identifier = {"system": "http://hospital.example/mrn", "value": value}
    return {"resourceType": "Patient", "identifier": [identifier], **more}


def by(value: str) -> str:
    return f"identifier=http://hospital.example/mrn|{value}"


@pytest.fixture(scope="module")
async def twins(client: httpx.AsyncClient) -> list[str]:
    """Two patients with one record number."""
    return [
        resource_of(await client.post("Patient", json=patient("twin")), 201)["id"] for _ in range(2)
    ]


async def create(client: httpx.AsyncClient, body: dict[str, Any], condition: str) -> httpx.Response:
    return await client.post("Patient", json=body, headers={"If-None-Exist": condition})


async def test_create_stores_when_nothing_matches_and_answers_with_what_matches_then(
    client: httpx.AsyncClient,
) -> None:
    first = resource_of(await create(client, patient("1"), by("1")), 201)
    again = await create(client, patient("1", gender="male"), by("1"))
    assert resource_of(again) == first
    assert again.headers["location"].endswith(f"/Patient/{first['id']}/_history/1")


@pytest.mark.parametrize("prefix", ["", "?", "Patient?", "http://test/fhir/Patient?"])
async def test_a_condition_may_name_its_type(client: httpx.AsyncClient, prefix: str) -> None:
    await client.put("Patient/typed", json=patient("typed") | {"id": "typed"})
    found = await create(client, patient("typed"), prefix + by("typed"))
    assert resource_of(found)["id"] == "typed"


async def test_a_condition_on_another_type_is_refused(client: httpx.AsyncClient) -> None:
    refusal_of(await create(client, patient("x"), "Observation?code=x"), 400)


async def test_create_with_several_matches_is_refused(
    client: httpx.AsyncClient, twins: list[str]
) -> None:
    refusal_of(await create(client, patient("twin"), by("twin")), 412, "multiple-matches")


@pytest.mark.parametrize(
    ("condition", "quoted"),
    [
        ("", "empty"),
        ("_format=json", "empty"),
        ("identifer=1", "did you mean identifier"),
        ("identifier:near=1", ":near"),
        ("_count=1", "_count"),
        ("identifier=", "empty value"),
        ("birthdate=soon", "soon"),
        ("identifier=%FF", "UTF-8"),
    ],
)
async def test_a_condition_that_is_not_understood_is_refused_even_to_the_lenient(
    client: httpx.AsyncClient, condition: str, quoted: str
) -> None:
    headers = {"Prefer": "handling=lenient", "If-None-Exist": condition}
    assert quoted in refusal_of(
        await client.post("Patient", json=patient("x"), headers=headers), 400
    )
    for method in ("PUT", "DELETE"):
        answer = await client.request(
            method, f"Patient?{condition}", json=patient("x"), headers={"Prefer": headers["Prefer"]}
        )
        assert quoted in refusal_of(answer, 400)


async def test_a_condition_may_hold_a_question_mark(client: httpx.AsyncClient) -> None:
    identifier = {"system": "http://hospital.example/mrn?site=a", "value": "1"}
    body = {"resourceType": "Patient", "id": "marked", "identifier": [identifier]}
    await client.put("Patient/marked", json=body)
    condition = "identifier=http://hospital.example/mrn?site=a|1"
    assert resource_of(await create(client, body, condition))["id"] == "marked"


async def test_a_condition_in_plain_utf8_finds_what_an_encoded_one_finds(
    client: httpx.AsyncClient,
) -> None:
    body = {"resourceType": "Patient", "id": "accent", "name": [{"family": "Jürgens"}]}
    await client.put("Patient/accent", json=body)
    for condition in ("family:exact=J%C3%BCrgens", "family:exact=Jürgens"):
        headers = [CONTENT_TYPE, (b"If-None-Exist", condition.encode())]
        answer = await client.post("Patient", json=body, headers=headers)
        assert resource_of(answer)["id"] == "accent"


async def test_a_condition_that_is_no_utf8_is_refused(client: httpx.AsyncClient) -> None:
    headers = [CONTENT_TYPE, (b"If-None-Exist", b"family=J\xfcrgens")]
    refusal_of(await client.post("Patient", json=patient("x"), headers=headers), 400)


async def test_update_creates_then_updates_what_matches(client: httpx.AsyncClient) -> None:
    url = f"Patient?{by('2')}"
    created = resource_of(await client.put(url, json=patient("2")), 201)
    updated = resource_of(await client.put(url, json=patient("2", gender="male")))
    assert updated["id"] == created["id"]
    assert updated["meta"]["versionId"] == "2"
    unchanged = await client.put(url, json=patient("2", gender="male"))
    assert unchanged.headers["etag"] == 'W/"2"'


async def test_update_creates_under_the_id_of_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.put(f"Patient?{by('3')}", json=patient("3", id="third"))
    assert resource_of(answer, 201)["id"] == "third"


async def test_update_that_matches_another_id_is_refused(client: httpx.AsyncClient) -> None:
    await client.put("Patient/fourth", json=patient("4", id="fourth"))
    answer = await client.put(f"Patient?{by('4')}", json=patient("4", id="another"))
    told = refusal_of(answer, 400, "invalid")
    assert "fourth" in told
    assert "another" in told


async def test_update_never_overwrites_a_resource_that_the_condition_does_not_match(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Patient/fifth", json=patient("5", id="fifth"))
    answer = await client.put(f"Patient?{by('unknown')}", json=patient("unknown", id="fifth"))
    refusal_of(answer, 409, "duplicate")
    kept = resource_of(await client.get("Patient/fifth"))
    assert kept["identifier"][0]["value"] == "5"


async def test_update_with_several_matches_is_refused(
    client: httpx.AsyncClient, twins: list[str]
) -> None:
    answer = await client.put(f"Patient?{by('twin')}", json=patient("twin"))
    refusal_of(answer, 412, "multiple-matches")


async def test_update_checks_the_tag_of_what_matches(client: httpx.AsyncClient) -> None:
    url = f"Patient?{by('6')}"
    await client.put(url, json=patient("6"))
    body = patient("6", gender="male")
    refusal_of(await client.put(url, json=body, headers={"If-Match": 'W/"2"'}), 412)
    assert (await client.put(url, json=body, headers={"If-Match": 'W/"1"'})).status_code == 200


async def test_delete_removes_the_one_match(client: httpx.AsyncClient) -> None:
    await client.put("Patient/seventh", json=patient("7", id="seventh"))
    assert (await client.delete(f"Patient?{by('7')}")).status_code == 204
    assert (await client.get("Patient/seventh")).status_code == 410
    assert (await client.delete(f"Patient?{by('7')}")).status_code == 204


async def test_delete_with_several_matches_is_refused_and_deletes_none(
    client: httpx.AsyncClient, twins: list[str]
) -> None:
    refusal_of(await client.delete(f"Patient?{by('twin')}"), 412, "multiple-matches")
    found = resource_of(await client.get(f"Patient?{by('twin')}"))
    assert ids_of(found) == set(twins)


async def test_conditions_with_several_parameters_need_all_of_them(
    client: httpx.AsyncClient,
) -> None:
    body = patient("8", id="eighth", birthDate="1970-01-01")
    await client.put("Patient/eighth", json=body)
    matching = await create(client, body, f"{by('8')}&birthdate=1970-01-01")
    assert resource_of(matching)["id"] == "eighth"
    other = await create(client, body, f"{by('8')}&birthdate=1970-01-02")
    assert other.status_code == 201
