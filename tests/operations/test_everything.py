"""Patient/$everything and Encounter/$everything."""

from typing import Any

import httpx
import pytest

from fhir_server.operations.care_dates import CARE_DATES
from fhir_server.search.parameters import SearchParameters
from tests.answers import link_of, refusal_of, resource_of
from tests.interactions.searching import observation, patient, put_all, reference, resource
from tests.operations.calling import Json, answered, parameters

OWN = [
    patient("p", generalPractitioner=[reference("PractitionerRole/role")]),
    resource("Encounter", "e1", status="finished", subject=reference("Patient/p"),
             period={"start": "2020-03-01", "end": "2020-03-05"},
             **{"class": {"code": "IMP"}},
             location=[{"location": reference("Location/ward")}]),
    observation("o1", subject=reference("Patient/p"), encounter=reference("Encounter/e1"),
                effectiveDateTime="2020-03-02", performer=[reference("Practitioner/doc")]),
    observation("o2", subject=reference("Patient/p"), effectiveDateTime="2021-07"),
    observation("undated", subject=reference("Patient/p")),
    resource("Condition", "c", subject=reference("Patient/p"), onsetDateTime="1990"),
    resource("MedicationRequest", "m", status="active", intent="order",
             subject=reference("Patient/p"), authoredOn="2019-01-01",
             medicationReference=reference("Medication/drug")),
    resource("Group", "g", type="person", actual=True,
             member=[{"entity": reference("Patient/p")}, {"entity": reference("Patient/q")}]),
]  # fmt: skip
SUPPORT = [
    resource("PractitionerRole", "role", practitioner=reference("Practitioner/gp")),
    resource("Practitioner", "gp"),
    resource("Practitioner", "doc"),
    resource("Location", "ward", managingOrganization=reference("Organization/hospital")),
    resource("Organization", "hospital", name="Hospital", partOf=reference("Organization/trust")),
    resource("Organization", "trust", name="Trust"),
    resource("Medication", "drug", manufacturer=reference("Organization/maker")),
    resource("Organization", "maker", name="Maker"),
]
OTHERS = [
    patient("q"),
    observation("foreign", subject=reference("Patient/q"), performer=[reference("Practitioner/x")]),
    resource("Practitioner", "x"),
    resource("Organization", "elsewhere", name="Elsewhere"),
]


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    await put_all(client, [*OTHERS, *SUPPORT, *OWN])


def names(bundle: Json) -> list[str]:
    resources = (entry["resource"] for entry in bundle.get("entry", ()))
    return [f"{each['resourceType']}/{each['id']}" for each in resources]


def named(resources: list[Json]) -> set[str]:
    return {f"{each['resourceType']}/{each['id']}" for each in resources}


async def found(client: httpx.AsyncClient, query: str) -> set[str]:
    bundle = answered("Patient-everything", await client.get(query))
    assert bundle["type"] == "searchset"
    listed = names(bundle)
    assert len(listed) == len(set(listed)) == bundle["total"]
    return set(listed)


async def test_everything_is_the_compartment_with_what_it_refers_to(
    client: httpx.AsyncClient,
) -> None:
    assert await found(client, "Patient/p/$everything") == named([*OWN, *SUPPORT])


async def test_pages_hold_everything_once(client: httpx.AsyncClient) -> None:
    link: str | None = "Patient/p/$everything?_count=3"
    pages: list[list[str]] = []
    last: Json = {}
    while link is not None:
        last = resource_of(await client.get(link))
        pages.append(names(last))
        link = link_of(last, "next")
    assert [len(page) for page in pages] == [3] * 5 + [1]
    listed = [name for page in pages for name in page]
    assert set(listed) == named([*OWN, *SUPPORT])
    assert len(listed) == len(set(listed))
    previous = link_of(last, "previous")
    assert previous is not None
    assert names(resource_of(await client.get(previous))) == pages[-2]
    first = link_of(last, "first")
    assert first is not None
    assert names(resource_of(await client.get(first))) == pages[0]


async def test_pages_of_a_call_by_post_are_links_for_get(client: httpx.AsyncClient) -> None:
    body = parameters(
        {"name": "_count", "valueInteger": 1}, {"name": "_type", "valueCode": "Observation"}
    )
    page = resource_of(await client.post("Patient/p/$everything", json=body))
    following = link_of(page, "next")
    assert following is not None
    assert names(resource_of(await client.get(following))) == ["Observation/o2"]


async def test_a_cursor_is_of_one_record_only(client: httpx.AsyncClient) -> None:
    page = resource_of(await client.get("Patient/p/$everything?_count=1"))
    following = link_of(page, "next")
    assert following is not None
    answer = await client.get(following.replace("Patient/p/", "Patient/q/"))
    assert "_cursor" in refusal_of(answer, 400, "invalid")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_type=Observation", {"Observation/o1", "Observation/o2", "Observation/undated"}),
        ("_type=Encounter,Medication", {"Encounter/e1", "Medication/drug"}),
        ("_type=Encounter&_type=Medication", {"Encounter/e1", "Medication/drug"}),
        ("_type=Encounter&_since=2999-01-01T00:00:00Z", set[str]()),
        ("_type=Encounter&_since=2001-01-01T00:00:00Z", {"Encounter/e1"}),
        ("_type=Observation&start=2021-01-01", {"Observation/o2", "Observation/undated"}),
        ("_type=Observation&end=2020-12-31", {"Observation/o1", "Observation/undated"}),
        ("_type=Observation&end=2020-03-02", {"Observation/o1", "Observation/undated"}),
        ("_type=Observation&end=2020-03-01", {"Observation/undated"}),
        ("_type=Encounter&start=2020-03-05&end=2020-03-31", {"Encounter/e1"}),
        ("_type=Encounter&start=2020-03-06&end=2020-03-31", set[str]()),
        ("_type=Condition,Patient&start=2022", {"Condition/c", "Patient/p"}),
    ],
)  # fmt: skip
async def test_parameters_narrow(client: httpx.AsyncClient, query: str, expected: set[str]) -> None:
    assert await found(client, f"Patient/p/$everything?{query}") == expected


async def test_an_encounter_brings_its_patient_and_what_belongs_to_it(
    client: httpx.AsyncClient,
) -> None:
    bundle = answered("Encounter-everything", await client.get("Encounter/e1/$everything"))
    expected = {"Encounter/e1", "Observation/o1", "Patient/p", "Practitioner/doc"}
    expected |= {"PractitionerRole/role", "Practitioner/gp"}
    expected |= {"Location/ward", "Organization/hospital", "Organization/trust"}
    assert set(names(bundle)) == expected


async def test_count_0_asks_how_much(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Patient/p/$everything?_count=0"))
    assert bundle["total"] == len(OWN) + len(SUPPORT)
    assert "entry" not in bundle


async def test_elements_are_chosen_as_in_a_search(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Patient/p/$everything?_type=Patient&_elements=active"))
    (found_patient,) = (entry["resource"] for entry in bundle["entry"])
    assert "generalPractitioner" not in found_patient


@pytest.mark.parametrize(
    ("path", "status", "code", "told"),
    [
        ("Patient/none/$everything", 404, "not-found", "none"),
        ("Patient/p/$everything?_type=Patients", 400, "value", "Patients"),
        ("Patient/p/$everything?_since=2020", 400, "value", "_since"),
        ("Patient/p/$everything?start=2021-01-01&end=2020-01-01", 400, "invalid", "2021-01-01"),
        ("Patient/p/$everything?start=2021-02-30", 400, "value", "start"),
        ("Patient/p/$everything?_count=-1", 400, "value", "_count=-1"),
        ("Patient/p/$everything?_include=*", 400, "not-supported", '"_include"'),
        ("Encounter/e1/$everything?start=2020-01-01", 400, "not-supported", '"start"'),
        ("Patient/$everything", 404, "not-supported", "Patient/[id]/$everything"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.AsyncClient, path: str, status: int, code: str, told: str
) -> None:
    assert told in refusal_of(await client.get(path), status, code)


async def test_a_deleted_patient_is_gone(client: httpx.AsyncClient) -> None:
    await put_all(client, [patient("gone")])
    await client.delete("Patient/gone")
    refusal_of(await client.get("Patient/gone/$everything"), 410, "deleted")


def test_every_care_date_is_a_date_that_can_be_searched() -> None:
    known = SearchParameters()
    parameters_: dict[str, Any] = {
        type_: known.get(type_, code) for type_, code in CARE_DATES.items()
    }
    assert {type_: each and each.type for type_, each in parameters_.items()} == dict.fromkeys(
        CARE_DATES, "date"
    )
