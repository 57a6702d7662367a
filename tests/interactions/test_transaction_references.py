"""References between the entries of a transaction (R4 http.html#trules, bundle.html#references)."""

from typing import Any

import httpx
import pytest

from tests.answers import resource_of
from tests.interactions.bundles import (
    entry,
    numbered,
    observation,
    refused,
    send,
    statuses,
    urn,
    written,
)

PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Trans"}]}


async def test_urns_become_ids_everywhere_they_can_stand(client: httpx.AsyncClient) -> None:
    extension = {"url": "http://example.org/x"}
    link = f'<a href="{urn(1)}">p</a><img src="{urn(1)}" alt="{urn(1)}"/>'
    body = observation(
        urn(1),
        contained=[
            {
                "resourceType": "Provenance",
                "id": "c",
                "target": [{"reference": urn(1)}, {"reference": "#"}],
                "recorded": "2026-01-01T00:00:00Z",
                "agent": [{"who": {"reference": urn(1)}}],
            }
        ],
        extension=[
            extension | {"valueReference": {"reference": urn(1)}},
            extension | {"valueUri": urn(1)},
            extension | {"valueOid": "urn:oid:1.2.3"},
            {**extension, "extension": [extension | {"valueReference": {"reference": urn(1)}}]},
        ],
        text={
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{link} {urn(1)}</div>',
        },
        _status={"extension": [extension | {"valueReference": {"reference": urn(1)}}]},
        performer=[{"reference": urn(1), "display": urn(1)}],
        note=[{"text": urn(1), "authorReference": {"reference": urn(1)}}],
        identifier=[{"system": "urn:ietf:rfc:3986", "value": urn(1)}],
    )
    answers = await send(
        client,
        "transaction",
        entry("POST", "Observation", body, urn(2)),
        entry("POST", "Patient", PATIENT, urn(1)),
    )
    patient = written(answers[1])
    found = resource_of(await client.get(written(answers[0])))
    for container in (
        found["subject"],
        found["performer"][0],
        found["contained"][0]["target"][0],
        found["contained"][0]["agent"][0]["who"],
        found["extension"][0]["valueReference"],
        found["extension"][3]["extension"][0]["valueReference"],
        found["_status"]["extension"][0]["valueReference"],
        found["note"][0]["authorReference"],
    ):
        assert container["reference"] == patient
    assert found["extension"][1]["valueUri"] == patient
    assert found["extension"][2]["valueOid"] == "urn:oid:1.2.3"
    assert f'<a href="{patient}">' in found["text"]["div"]
    assert f'<img src="{patient}" alt="{urn(1)}"' in found["text"]["div"]
    # Texts are not links.
    assert found["note"][0]["text"] == urn(1)
    assert found["performer"][0]["display"] == urn(1)
    assert found["identifier"][0]["value"] == urn(1)
    matched = resource_of(await client.get(f"Observation?subject={patient}"))
    assert matched["total"] == 1


async def test_references_inside_a_bundle_that_is_stored_are_replaced_too(
    client: httpx.AsyncClient,
) -> None:
    inner = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "http://e.org/Observation/1", "resource": observation(urn(1))}],
    }
    answers = await send(
        client,
        "transaction",
        entry("POST", "Patient", PATIENT, urn(1)),
        entry("POST", "Bundle", inner, urn(2)),
    )
    found = resource_of(await client.get(written(answers[1])))
    subject = found["entry"][0]["resource"]["subject"]
    assert subject["reference"] == written(answers[0])


@pytest.mark.parametrize(
    "reference",
    ["Patient/x1", "http://old.example/fhir/Patient/x1", "http://old.example/fhir/Patient/x1#p"],
)
async def test_references_follow_the_full_urls_of_another_server(
    client: httpx.AsyncClient, reference: str
) -> None:
    answers = await send(
        client,
        "transaction",
        entry("POST", "Patient", PATIENT, "http://old.example/fhir/Patient/x1"),
        entry(
            "POST", "Observation", observation(reference), "http://old.example/fhir/Observation/y1"
        ),
    )
    found = resource_of(await client.get(written(answers[1])))
    fragment = "#p" if reference.endswith("#p") else ""
    assert found["subject"]["reference"] == written(answers[0]) + fragment


async def test_a_relative_reference_of_another_base_is_left_alone(
    client: httpx.AsyncClient,
) -> None:
    answers = await send(
        client,
        "transaction",
        entry("POST", "Patient", PATIENT, "http://old.example/fhir/Patient/x1"),
        entry("POST", "Observation", observation("Patient/x1"), "http://new.example/Observation/1"),
    )
    found = resource_of(await client.get(written(answers[1])))
    assert found["subject"]["reference"] == "Patient/x1"


async def test_references_may_go_round_in_circles(client: httpx.AsyncClient) -> None:
    def linked(other: str) -> dict[str, Any]:
        return PATIENT | {"link": [{"other": {"reference": other}, "type": "seealso"}]}

    answers = await send(
        client,
        "transaction",
        entry("POST", "Patient", linked(urn(2)), urn(1)),
        entry("POST", "Patient", linked(urn(3)), urn(2)),
        entry("POST", "Patient", linked(urn(1)), urn(3)),
        entry("POST", "Patient", linked(urn(4)), urn(4)),
    )
    paths = [written(item) for item in answers]
    for path, other in zip(paths, [paths[1], paths[2], paths[0], paths[3]], strict=True):
        found = resource_of(await client.get(path))
        assert found["link"][0]["other"]["reference"] == other


async def test_a_urn_that_is_nobodys_fails(client: httpx.AsyncClient) -> None:
    told = await refused(
        client,
        400,
        "not-found",
        entry("POST", "Patient", PATIENT, urn(1)),
        entry("POST", "Observation", observation(urn(9))),
    )
    assert urn(9) in told


async def test_a_full_url_given_twice_fails(client: httpx.AsyncClient) -> None:
    patient = entry("POST", "Patient", PATIENT, urn(1))
    assert urn(1) in await refused(client, 400, "invalid", patient, patient)


async def test_a_conditional_create_that_matches_is_what_references_become(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Patient/known", json=numbered("known", id="known"))
    entries = (
        entry("POST", "Patient", numbered("known"), urn(1), ifNoneExist="identifier=urn:mrn|known"),
        entry("POST", "Patient", numbered("n"), urn(2), ifNoneExist="identifier=urn:mrn|new"),
        entry("POST", "Observation", observation(urn(1), performer=[{"reference": urn(2)}])),
    )
    answers = await send(client, "transaction", *entries)
    assert statuses(answers) == [200, 201, 201]
    found = resource_of(await client.get(written(answers[2])))
    assert found["subject"]["reference"] == "Patient/known"
    assert found["performer"][0]["reference"] == written(answers[1])
    assert (await client.get("Patient/known")).headers["etag"] == 'W/"1"'


async def test_conditional_references_become_what_they_match(client: httpx.AsyncClient) -> None:
    await client.put("Patient/cr", json=numbered("cr", id="cr"))
    reference = "Patient?identifier=urn:mrn%7Ccr"
    (item, _) = await send(
        client,
        "transaction",
        entry("POST", "Observation", observation(reference)),
        entry("POST", "Observation", observation("Patient?identifier=urn:mrn|cr")),
    )
    found = resource_of(await client.get(written(item)))
    assert found["subject"]["reference"] == "Patient/cr"


async def test_conditional_references_with_none_or_several_matches_fail(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        await client.post("Patient", json=numbered("double"))
    told = await refused(
        client,
        400,
        "multiple-matches",
        entry("POST", "Patient", PATIENT),
        entry("POST", "Observation", observation("Patient?identifier=urn:mrn|double")),
        entry("POST", "Observation", observation("Patient?identifier=urn:mrn|missing")),
    )
    assert "urn:mrn|double" in told
    assert "urn:mrn|missing" in told


async def test_a_version_of_what_gets_a_new_identity_becomes_that_identity(
    client: httpx.AsyncClient,
) -> None:
    elsewhere = "http://elsewhere.example/fhir/Patient/moved"
    answers = await send(
        client,
        "transaction",
        entry("POST", "Patient", PATIENT, elsewhere),
        entry("POST", "Observation", observation(f"{elsewhere}/_history/3")),
        entry("PUT", "Patient/kept", PATIENT | {"id": "kept"}, "http://test/fhir/Patient/kept"),
        entry("POST", "Observation", observation("Patient/kept/_history/1")),
    )
    moved = resource_of(await client.get(written(answers[1])))
    assert moved["subject"]["reference"] == written(answers[0])
    kept = resource_of(await client.get(written(answers[3])))
    assert kept["subject"]["reference"] == "Patient/kept/_history/1"
