"""update, update as create (R4 http.html#update, #upsert, #concurrency)."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.answers import digits, refusal_of, resource_of

PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Chalmers"}]}


async def put(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> httpx.Response:
    path = f"{body['resourceType']}/{body['id']}"
    return await client.put(
        path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


async def versions(client: httpx.AsyncClient, path: str) -> int:
    return int(resource_of(await client.get(f"{path}/_history"))["total"])


async def test_an_unknown_id_is_created_under_that_id(client: httpx.AsyncClient) -> None:
    answer = await put(client, PATIENT | {"id": "new.One-1"})
    assert resource_of(answer, 201)["id"] == "new.One-1"
    assert answer.headers["location"] == "http://test/fhir/Patient/new.One-1/_history/1"
    assert answer.headers["etag"] == 'W/"1"'


async def test_a_change_makes_the_next_version_and_keeps_the_old(client: httpx.AsyncClient) -> None:
    await put(client, PATIENT | {"id": "b"})
    answer = await put(client, PATIENT | {"id": "b", "gender": "male"})
    assert resource_of(answer)["meta"]["versionId"] == "2"
    assert answer.headers["etag"] == 'W/"2"'
    old = resource_of(await client.get("Patient/b/_history/1"))
    assert "gender" not in old
    assert old["meta"]["lastUpdated"] < answer.json()["meta"]["lastUpdated"]


async def test_what_changes_nothing_makes_no_version(client: httpx.AsyncClient) -> None:
    first = resource_of(await put(client, PATIENT | {"id": "c", "active": True}), 201)
    answer = await put(client, {"active": True} | PATIENT | {"id": "c"})
    assert resource_of(answer) == first
    assert answer.headers["etag"] == 'W/"1"'
    assert await versions(client, "Patient/c") == 1


async def test_what_was_read_and_put_back_makes_no_version(client: httpx.AsyncClient) -> None:
    await put(client, PATIENT | {"id": "d"})
    read = (await client.get("Patient/d")).content
    answer = await client.put("Patient/d", content=read)
    assert answer.headers["etag"] == 'W/"1"'


async def test_a_change_of_a_tag_makes_a_version(client: httpx.AsyncClient) -> None:
    await put(client, PATIENT | {"id": "e"})
    tagged = PATIENT | {"id": "e", "meta": {"tag": [{"code": "x"}]}}
    assert resource_of(await put(client, tagged))["meta"]["versionId"] == "2"


@pytest.mark.parametrize("id_", [None, "other", "F"])
async def test_a_body_with_another_id_is_refused(
    client: httpx.AsyncClient, id_: str | None
) -> None:
    body = PATIENT | ({"id": id_} if id_ else {})
    refusal_of(await client.put("Patient/f", json=body), 400, "invalid")
    assert (await client.get("Patient/f")).status_code == 404


@pytest.mark.parametrize("id_", ["a_b", "a%20b", "a%2Fb", "x" * 65, "%C3%A4", "..%2F..%2Fetc"])
async def test_what_is_no_id_is_refused(client: httpx.AsyncClient, id_: str) -> None:
    refusal_of(await client.put(f"Patient/{id_}", json=PATIENT | {"id": "a"}), 400, "value")


async def test_if_match_lets_the_named_version_through_only(client: httpx.AsyncClient) -> None:
    await put(client, PATIENT | {"id": "g"})
    second = PATIENT | {"id": "g", "gender": "male"}
    assert (await put(client, second, If_Match='W/"1"')).status_code == 200
    third = PATIENT | {"id": "g", "gender": "other"}
    for tag in ('W/"1"', 'W/"3"', '"abc"', ""):
        told = refusal_of(await put(client, third, If_Match=tag), 412, "conflict")
        assert "version 2" in told
    assert (await put(client, third, If_Match="*")).status_code == 200
    assert await versions(client, "Patient/g") == 3


@pytest.mark.parametrize("tag", ['W/"1"', "*"])
async def test_if_match_needs_something_to_match(client: httpx.AsyncClient, tag: str) -> None:
    refusal_of(await put(client, PATIENT | {"id": "nothing"}, If_Match=tag), 412)
    assert (await client.get("Patient/nothing")).status_code == 404


async def test_if_none_match_any_only_creates(client: httpx.AsyncClient) -> None:
    body = PATIENT | {"id": "h"}
    assert (await put(client, body, If_None_Match="*")).status_code == 201
    changed = body | {"gender": "male"}
    refusal_of(await put(client, changed, If_None_Match="*"), 412)
    assert await versions(client, "Patient/h") == 1


async def test_a_deleted_resource_comes_back_as_the_next_version(client: httpx.AsyncClient) -> None:
    body = PATIENT | {"id": "i"}
    await put(client, body)
    await client.delete("Patient/i")
    answer = await put(client, body)
    assert resource_of(answer, 201)["meta"]["versionId"] == "3"
    assert answer.headers["location"].endswith("Patient/i/_history/3")
    found = resource_of(await client.get("Patient?_id=i"))
    assert found["total"] == 1


def observation(number: str) -> str:
    return (
        '{"resourceType": "Observation", "id": "number", "status": "final",'
        f' "code": {{"text": "x"}}, "valueQuantity": {{"value": {number}}}}}'
    )


@pytest.mark.parametrize(
    "number",
    [
        "1.0",
        "1.00",
        "0.10",
        "1.0E+3",
        "1e2",
        "1E-22",
        "0.000000001",
        "-0.0",
        "-1.50",
        "100",
        "123456789012345678.123456789",
        "123456789012345678901234567890",
        "18446744073709551616",
        "0.3333333333333333333333333333333333333333",
        "0.00",
        "0E+5",
    ],
)
async def test_decimals_keep_their_digits(client: httpx.AsyncClient, number: str) -> None:
    answer = await client.put("Observation/number", content=observation(number))
    wanted = digits(Decimal(number))
    written = resource_of(answer, answer.status_code)["valueQuantity"]["value"]
    read = resource_of(await client.get("Observation/number"))["valueQuantity"]["value"]
    found = resource_of(await client.get("Observation?_id=number"))["entry"][0]["resource"]
    assert [digits(value) for value in (written, read, found["valueQuantity"]["value"])] == [
        wanted
    ] * 3
    again = await client.put("Observation/number", content=observation(number))
    assert again.headers["etag"] == answer.headers["etag"]


async def test_another_precision_is_another_version(client: httpx.AsyncClient) -> None:
    await client.put("Observation/number", content=observation("5.0"))
    before = await versions(client, "Observation/number")
    await client.put("Observation/number", content=observation("5.00"))
    assert await versions(client, "Observation/number") == before + 1


@pytest.mark.parametrize("number", ["1e200000", "1e-20000", "9" * 5000, "1e99999999999999999999"])
async def test_numbers_beyond_reason_are_refused(client: httpx.AsyncClient, number: str) -> None:
    refusal_of(await client.put("Observation/number", content=observation(number)), 400)


async def test_extensions_of_primitives_survive(client: httpx.AsyncClient) -> None:
    time = {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime"}
    body = PATIENT | {
        "id": "j",
        "birthDate": "1970-03-30",
        "_birthDate": {"extension": [time | {"valueDateTime": "1970-03-30T10:00:00+01:00"}]},
        "name": [
            {"given": ["A", None], "_given": [None, {"extension": [time | {"valueCode": "x"}]}]}
        ],
        "_active": {"extension": [time | {"valueCode": "unknown"}]},
    }
    await put(client, body)
    read = resource_of(await client.get("Patient/j"))
    del read["meta"]
    assert read == body


async def test_text_survives_whatever_its_script(client: httpx.AsyncClient) -> None:
    text = 'Ærøskøbing 東京 👩‍⚕️ \\ " / \t\n é é'
    await put(client, {"resourceType": "Patient", "id": "k", "name": [{"text": text}]})
    assert resource_of(await client.get("Patient/k"))["name"][0]["text"] == text
