"""read and vread, conditional read (R4 http.html#read, #vread, #cread)."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of, resource_of


@pytest.fixture(scope="module")
async def patient(client: httpx.AsyncClient) -> dict[str, Any]:
    """A patient with two versions."""
    first = {"resourceType": "Patient", "id": "p", "name": [{"family": "Chalmers"}]}
    await client.put("Patient/p", json=first)
    second = first | {"gender": "male", "text": {"status": "generated", "div": DIV}}
    return resource_of(await client.put("Patient/p", json=second))


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Chalmers</div>'


@pytest.fixture(scope="module")
async def deleted(client: httpx.AsyncClient) -> str:
    """The path of a resource that was deleted as version 2."""
    await client.put("Patient/gone", json={"resourceType": "Patient", "id": "gone"})
    await client.delete("Patient/gone")
    return "Patient/gone"


async def test_read_gives_the_current_version(
    client: httpx.AsyncClient, patient: dict[str, Any]
) -> None:
    answer = await client.get("Patient/p")
    assert resource_of(answer) == patient
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["last-modified"].endswith("GMT")
    assert "location" not in answer.headers


async def test_vread_gives_each_version(client: httpx.AsyncClient, patient: dict[str, Any]) -> None:
    first = await client.get("Patient/p/_history/1")
    assert first.headers["etag"] == 'W/"1"'
    assert "gender" not in resource_of(first)
    assert resource_of(await client.get("Patient/p/_history/2")) == patient


@pytest.mark.parametrize("version", ["3", "0", "-1", "x", "1.0", "99999999999999999999", "%00"])
async def test_a_version_that_never_was_is_not_found(
    client: httpx.AsyncClient, patient: dict[str, Any], version: str
) -> None:
    refusal_of(await client.get(f"Patient/p/_history/{version}"), 404, "not-found")


async def test_an_unknown_id_is_not_found_and_quoted(client: httpx.AsyncClient) -> None:
    assert "'nobody'" in refusal_of(await client.get("Patient/nobody"), 404, "not-found")


async def test_an_id_of_another_type_is_not_found(
    client: httpx.AsyncClient, patient: dict[str, Any]
) -> None:
    refusal_of(await client.get("Observation/p"), 404, "not-found")


async def test_a_deleted_resource_is_gone(client: httpx.AsyncClient, deleted: str) -> None:
    answer = await client.get(deleted)
    refusal_of(answer, 410, "deleted")
    assert answer.headers["etag"] == 'W/"2"'


async def test_the_deletion_is_gone_and_the_version_before_it_is_not(
    client: httpx.AsyncClient, deleted: str
) -> None:
    refusal_of(await client.get(f"{deleted}/_history/2"), 410, "deleted")
    assert resource_of(await client.get(f"{deleted}/_history/1"))["id"] == "gone"


@pytest.mark.parametrize("tag", ['W/"2"', '"2"', "2", 'W/"1", W/"2"', "*"])
async def test_a_tag_the_client_has_answers_304(
    client: httpx.AsyncClient, patient: dict[str, Any], tag: str
) -> None:
    answer = await client.get("Patient/p", headers={"If-None-Match": tag})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == 'W/"2"'


@pytest.mark.parametrize("tag", ['W/"1"', 'W/"x"', '""'])
async def test_another_tag_answers_with_the_resource(
    client: httpx.AsyncClient, patient: dict[str, Any], tag: str
) -> None:
    answer = await client.get("Patient/p", headers={"If-None-Match": tag})
    assert resource_of(answer) == patient


async def test_last_modified_given_back_answers_304(
    client: httpx.AsyncClient, patient: dict[str, Any]
) -> None:
    modified = (await client.get("Patient/p")).headers["last-modified"]
    answer = await client.get("Patient/p", headers={"If-Modified-Since": modified})
    assert answer.status_code == 304


@pytest.mark.parametrize(
    "date",
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2015 07:28:00 -0000",
        "Wed, 21 Oct 2015 07:28:00 +0200",
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "yesterday",
    ],
)
async def test_an_older_or_malformed_time_answers_with_the_resource(
    client: httpx.AsyncClient, patient: dict[str, Any], date: str
) -> None:
    answer = await client.get("Patient/p", headers={"If-Modified-Since": date})
    assert resource_of(answer) == patient


async def test_a_tag_outweighs_the_time(client: httpx.AsyncClient, patient: dict[str, Any]) -> None:
    modified = (await client.get("Patient/p")).headers["last-modified"]
    headers = {"If-None-Match": 'W/"1"', "If-Modified-Since": modified}
    assert resource_of(await client.get("Patient/p", headers=headers)) == patient


@pytest.mark.parametrize(
    "path", ["Patient/p", "Patient/p/_history/1", "Patient/nobody", "Patient/gone", "Patient?_id=p"]
)
async def test_head_has_the_headers_of_get_and_no_body(
    client: httpx.AsyncClient, patient: dict[str, Any], deleted: str, path: str
) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    varying = ("x-request-id",)
    for name in set(get.headers) - set(varying):
        assert head.headers[name] == get.headers[name]


async def test_summary_of_a_read_leaves_out_the_narrative_and_says_so(
    client: httpx.AsyncClient, patient: dict[str, Any]
) -> None:
    part = resource_of(await client.get("Patient/p?_summary=data"))
    assert "text" not in part
    assert part["gender"] == "male"
    assert [tag["code"] for tag in part["meta"]["tag"]] == ["SUBSETTED"]


async def test_elements_of_a_vread_are_the_ones_asked_for(
    client: httpx.AsyncClient, patient: dict[str, Any]
) -> None:
    part = resource_of(await client.get("Patient/p/_history/2?_elements=gender"))
    assert set(part) == {"resourceType", "id", "meta", "gender"}


async def test_a_wrong_summary_is_refused(
    client: httpx.AsyncClient, patient: dict[str, Any]
) -> None:
    told = refusal_of(await client.get("Patient/p?_summary=yes"), 400, "value")
    assert "'yes'" in told
