"""$meta, $meta-add and $meta-delete."""

from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.searching import observation, patient, put_all
from tests.operations.calling import Json, answered, parameters, values

TAGS = "http://example.org/tags"
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
PROFILE = "http://example.org/profile"


def tag(code: str, **more: str) -> Json:
    return {"system": TAGS, "code": code, **more}


def meta(**labels: list[Json] | list[str]) -> Json:
    return parameters({"name": "meta", "valueMeta": labels})


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    await put_all(
        client,
        [
            patient("bare"),
            patient("a", meta={"tag": [tag("x"), tag("y")], "profile": [PROFILE]}),
            patient("b", meta={"tag": [tag("y", display="Why")], "security": [LABEL]}),
            observation("o", meta={"tag": [tag("z")]}),
        ],
    )


async def of(client: httpx.AsyncClient, path: str) -> Json:
    found = values(answered("Resource-meta", await client.get(f"{path}$meta")))["return"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def definition_folders() -> Sequence[Path]:
    """None: the labels of everything there is are looked at."""
    return ()


async def test_labels_in_use_are_listed_by_type_and_for_all(client: httpx.AsyncClient) -> None:
    everywhere = await of(client, "")
    assert [each["code"] for each in everywhere["tag"]] == ["x", "y", "z"]
    assert everywhere["profile"] == [PROFILE]
    assert everywhere["security"] == [LABEL]
    assert await of(client, "Observation/") == {"tag": [tag("z")]}
    assert set(await of(client, "Patient/")) == {"profile", "security", "tag"}


async def test_a_type_without_labels_says_so(client: httpx.AsyncClient) -> None:
    assert set(await of(client, "Device/")) == {"extension"}


async def test_the_meta_of_a_resource_and_its_versions_is_told(client: httpx.AsyncClient) -> None:
    await put_all(client, [patient("versions"), patient("versions", meta={"tag": [tag("new")]})])
    stored = resource_of(await client.get("Patient/versions"))
    assert await of(client, "Patient/versions/") == stored["meta"]
    first = await of(client, "Patient/versions/_history/1/")
    assert first["versionId"] == "1"
    assert "tag" not in first
    refusal_of(await client.get("Patient/versions/_history/7/$meta"), 404, "not-found")
    refusal_of(await client.get("Patient/none/$meta"), 404, "not-found")


async def test_added_labels_make_a_version_and_are_a_set(client: httpx.AsyncClient) -> None:
    await put_all(client, [patient("add", meta={"tag": [tag("x", display="Ex")]})])
    body = meta(tag=[tag("x", version="2"), tag("n")], profile=[PROFILE], security=[LABEL])
    answer = await client.post("Patient/add/$meta-add", json=body)
    found = values(answered("Resource-meta-add", answer))["return"]
    assert found["tag"] == [tag("x", display="Ex"), tag("n")]
    assert (found["profile"], found["security"]) == ([PROFILE], [LABEL])
    assert (found["versionId"], answer.headers["etag"]) == ("2", 'W/"2"')
    assert resource_of(await client.get("Patient/add"))["meta"] == found
    again = await client.post("Patient/add/$meta-add", json=body)
    assert values(answered("Resource-meta-add", again))["return"] == found
    tagged = resource_of(await client.get(f"Patient?_tag={TAGS}|n"))
    assert [entry["resource"]["id"] for entry in tagged["entry"]] == ["add"]


async def test_deleted_labels_are_gone_and_need_not_have_been(client: httpx.AsyncClient) -> None:
    await put_all(client, [patient("del", meta={"tag": [tag("x", display="Ex")]})])
    body = meta(tag=[tag("x"), tag("never")], profile=[PROFILE])
    answer = await client.post("Patient/del/$meta-delete", json=body)
    found = values(answered("Resource-meta-delete", answer))["return"]
    assert set(found) == {"versionId", "lastUpdated"}
    assert found["versionId"] == "2"
    again = await client.post("Patient/del/$meta-delete", json=body)
    assert values(answered("Resource-meta-delete", again))["return"]["versionId"] == "2"


async def test_if_match_protects_a_version(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "Patient/a/$meta-add", json=meta(tag=[tag("n")]), headers={"If-Match": 'W/"9"'}
    )
    refusal_of(answer, 412, "conflict")


@pytest.mark.parametrize("operation", ["$meta-add", "$meta-delete"])
async def test_what_cannot_be_changed_is_refused(client: httpx.AsyncClient, operation: str) -> None:
    body = meta(tag=[tag("n")])
    refusal_of(await client.post(f"Patient/none/{operation}", json=body), 404, "not-found")
    refusal_of(await client.post(f"Patient/a/{operation}"), 400, "required")
    refusal_of(await client.post(f"Patient/a/{operation}", json=patient("a")), 400, "invalid")
    version = meta()
    version["parameter"][0]["valueMeta"] = {"versionId": "1"}
    refusal_of(await client.post(f"Patient/a/{operation}", json=version), 400, "required")
    refusal_of(await client.get(f"Patient/a/{operation}"), 405, "not-supported")
    refusal_of(await client.post(f"Patient/{operation}", json=body), 404, "not-supported")


async def test_a_batch_changes_labels_and_a_transaction_does_not(
    client: httpx.AsyncClient,
) -> None:
    await put_all(client, [patient("batch")])
    entry = {
        "request": {"method": "POST", "url": "Patient/batch/$meta-add"},
        "resource": meta(tag=[tag("batch")]),
    }
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    answer = resource_of(await client.post("", json=bundle))
    assert answer["entry"][0]["response"]["status"] == "200 OK"
    assert values(answer["entry"][0]["resource"])["return"]["tag"] == [tag("batch")]
    told = refusal_of(await client.post("", json=bundle | {"type": "transaction"}), 400)
    assert "$meta-add is not possible in a transaction" in told
