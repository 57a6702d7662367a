"""Composition/$document."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.searching import coded, observation, patient, put_all, reference, resource
from tests.operations.calling import Json, answered, parameters

BASE = "http://test/fhir"


def composition(id_: str, *entries: str, **more: Any) -> Json:
    return resource(
        "Composition", id_, status="final", type=coded("l|11488-4"), date="2024-01-01",
        title="Note", subject=reference("Patient/p"), author=[reference("Practitioner/doc")],
        section=[{"title": "All", "entry": [reference(each) for each in entries]}]
        if entries else [{"title": "None", "text": {
            "status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">None</div>'}}],
        **more,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    await put_all(
        client,
        [
            patient("p"),
            resource("Practitioner", "doc"),
            resource("Organization", "keeper", name="Keeper"),
            observation("o1", subject=reference("Patient/p")),
            observation("o2", subject=reference("Patient/p")),
            composition(
                "c", "Observation/o1", f"{BASE}/Observation/o2", "http://elsewhere/Device/1",
                "Observation/o1", custodian=reference("Organization/keeper"),
            ),
            composition("broken", "Observation/none"),
            composition("of-version", "Observation/o1/_history/1"),
        ],
    )  # fmt: skip


def full_urls(bundle: Json) -> list[str]:
    return [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in bundle["entry"]]


async def documented(client: httpx.AsyncClient, path: str = "c/$document") -> Json:
    return answered("Composition-document", await client.get(f"Composition/{path}"))


async def test_a_document_begins_with_the_composition_and_holds_what_it_refers_to(
    client: httpx.AsyncClient,
) -> None:
    bundle = await documented(client)
    assert bundle["type"] == "document"
    assert bundle["identifier"]["value"].startswith("urn:uuid:")
    first, *others = full_urls(bundle)
    assert first == "Composition/c"
    assert sorted(others) == [
        "Observation/o1", "Observation/o2", "Organization/keeper", "Patient/p", "Practitioner/doc",
    ]  # fmt: skip
    for entry in bundle["entry"]:
        assert entry["resource"] == resource_of(await client.get(entry["fullUrl"]))


@pytest.mark.parametrize("id_", ["c", "Composition/c", f"{BASE}/Composition/c"])
async def test_the_composition_may_be_a_parameter(client: httpx.AsyncClient, id_: str) -> None:
    assert full_urls(await documented(client, f"$document?id={id_}"))[0] == "Composition/c"


async def test_a_version_that_is_named_is_in_the_document(client: httpx.AsyncClient) -> None:
    await put_all(client, [observation("o1", status="amended")])
    bundle = await documented(client, "of-version/$document")
    (found,) = (e["resource"] for e in bundle["entry"] if e["fullUrl"].endswith("Observation/o1"))
    assert (found["status"], found["meta"]["versionId"]) == ("final", "1")


async def test_a_document_is_stored_where_asked(client: httpx.AsyncClient) -> None:
    body = parameters({"name": "persist", "valueBoolean": True})
    answer = await client.post("Composition/c/$document", json=body)
    bundle = resource_of(answer)
    assert answer.headers["location"] == f"{BASE}/Bundle/{bundle['id']}/_history/1"
    assert resource_of(await client.get(f"Bundle/{bundle['id']}")) == bundle
    refusal_of(await client.get("Composition/c/$document?persist=true"), 400, "not-supported")


@pytest.mark.parametrize(
    ("path", "status", "code", "told"),
    [
        ("none/$document", 404, "not-found", "none"),
        ("broken/$document", 422, "incomplete", "Observation/none"),
        ("c/$document?graph=http://x", 400, "not-supported", "graph"),
        ("c/$document?id=c", 400, "invalid", "id"),
        ("$document", 400, "required", "id"),
        ("$document?id=http://elsewhere/Composition/1", 400, "not-supported", "another server"),
    ],
)
async def test_what_cannot_be_bundled_is_refused(
    client: httpx.AsyncClient, path: str, status: int, code: str, told: str
) -> None:
    assert told in refusal_of(await client.get(f"Composition/{path}"), status, code)
