"""delete (R4 http.html#delete)."""

import httpx

from tests.answers import diagnostics_of, refusal_of, resource_of

PATIENT = {"resourceType": "Patient", "id": "a", "name": [{"family": "Delenda"}]}


async def test_delete_makes_a_version_without_content(client: httpx.AsyncClient) -> None:
    await client.put("Patient/a", json=PATIENT)
    answer = await client.delete("Patient/a")
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["etag"] == 'W/"2"'
    history = resource_of(await client.get("Patient/a/_history"))
    assert history["entry"][0]["request"]["method"] == "DELETE"
    assert "resource" not in history["entry"][0]


async def test_a_deleted_resource_is_found_by_no_search(client: httpx.AsyncClient) -> None:
    for search in (
        "Patient?name=delenda",
        "Patient?_id=a",
        "Patient?name:exact=Delenda",
        "Patient",
    ):
        assert resource_of(await client.get(search))["total"] == 0


async def test_deleting_again_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.delete("Patient/a")
    assert answer.status_code == 204
    assert answer.headers["etag"] == 'W/"2"'
    assert resource_of(await client.get("Patient/a/_history"))["total"] == 2


async def test_deleting_what_never_was_is_no_error(client: httpx.AsyncClient) -> None:
    answer = await client.delete("Patient/never")
    assert answer.status_code == 204
    assert "etag" not in answer.headers
    assert (await client.get("Patient/never")).status_code == 404


async def test_a_deletion_tells_what_it_did_to_who_asks(client: httpx.AsyncClient) -> None:
    await client.put("Patient/b", json=PATIENT | {"id": "b"})
    answer = await client.delete("Patient/b", headers={"Prefer": "return=OperationOutcome"})
    assert "Patient/b" in diagnostics_of(resource_of(answer), "informational")


async def test_if_match_protects_a_newer_version(client: httpx.AsyncClient) -> None:
    await client.put("Patient/c", json=PATIENT | {"id": "c"})
    await client.put("Patient/c", json=PATIENT | {"id": "c", "gender": "male"})
    refusal_of(await client.delete("Patient/c", headers={"If-Match": 'W/"1"'}), 412)
    assert (await client.get("Patient/c")).status_code == 200
    assert (await client.delete("Patient/c", headers={"If-Match": 'W/"2"'})).status_code == 204
