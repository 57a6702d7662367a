"""_sort: the order of matches over all pages (R4 search.html#sort)."""

import httpx
import pytest

from tests.answers import ids_of, link_of, refusal_of, resource_of, resources_of
from tests.interactions.searching import (
    coded,
    in_order,
    observation,
    patient,
    put_all,
    reference,
    resource,
)

pytestmark = pytest.mark.usefixtures("every_step")

UCUM = "http://unitsofmeasure.org"


def quantity(value: float) -> dict[str, object]:
    return {"value": value, "system": UCUM, "code": "kg"}


def risk(id_: str, *probabilities: float) -> dict[str, object]:
    predictions = [{"probabilityDecimal": value} for value in probabilities]
    more = {"prediction": predictions} if predictions else {}
    return resource("RiskAssessment", id_, status="final", subject=reference("Patient/p1"), **more)


def encounter(id_: str, subject: str, start: str = "") -> dict[str, object]:
    more = {"period": {"start": start}} if start else {}
    return resource(
        "Encounter",
        id_,
        status="planned",
        subject=reference(subject),
        **{"class": {"code": "AMB"}},
        **more,
    )


def appointment(id_: str, start: str, *patients: str) -> dict[str, object]:
    actors = [{"actor": reference(f"Patient/{name}"), "status": "accepted"} for name in patients]
    return resource("Appointment", id_, status="booked", start=start, end=start, participant=actors)


# In the order in which they are stored.
RESOURCES = (
    patient("p3", name=[{"family": "Álvarez"}, {"family": "Zuse"}], birthDate="1970-05-02",
            gender="male", managingOrganization=reference("Organization/b"),
            identifier=[{"system": "urn:z", "value": "m"}]),
    patient("p1", name=[{"family": "zorn"}], birthDate="1970", gender="female",
            identifier=[{"system": "urn:a", "value": "z"}, {"value": "a"}]),
    patient("p5", name=[{"family": "Bauer"}], birthDate="1970-05-01", gender="male",
            managingOrganization=reference("Organization/a")),
    patient("p2", name=[{"given": ["No family"]}], gender="female", active=True),
    patient("p4", name=[{"family": "bauer"}], birthDate="1969-12-31", active=False),
    observation("o1", valueQuantity=quantity(5), effectiveDateTime="2020-02",
                code=coded("b", "y")),
    observation("o2", valueQuantity=quantity(-3.5),
                effectivePeriod={"start": "2019", "end": "2022"}, code=coded("c")),
    observation("o3", valueQuantity={**quantity(9), "comparator": "<"}, code=coded("a", "z")),
    observation("o4", effectivePeriod={"end": "2021"}, valueQuantity=quantity(5)),
    risk("r1", 0.5), risk("r2", 0.1, 0.9), risk("r3"), risk("r4", 0.5, 0.3),
    resource("RiskAssessment", "r5", status="final", subject=reference("Patient/p1"),
             prediction=[{"probabilityRange": {"low": {"value": 0.2, "unit": "of 1"}}}]),
    encounter("e1", "Patient/p1", "2021-01-01"), encounter("e2", "Patient/p2", "2022-01-01"),
    encounter("e3", "Patient/p1", "2020-01-01"), encounter("e4", "Patient/p1"),
    encounter("e5", "Patient/p1", "2021-01-01"), encounter("e6", "Group/p1", "2021-06-01"),
    encounter("e7", "Patient/p1", "2019"),
    appointment("a1", "2021-01-01T08:00:00Z", "p1", "p2"),
    appointment("a2", "2021-01-01T07:00:00Z", "p2"),
    appointment("a3", "2021-01-01T06:00:00Z", "p2", "p1"),
    resource("ValueSet", "v1", status="draft", url="http://b.example"),
    resource("ValueSet", "v2", status="active", url="http://a.example/x"),
    resource("ValueSet", "v3", status="draft"),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


# What is alike or missing comes in the order it was stored, or the other way round if the first
# rule descends.
ORDERS = [
    ("Patient?_sort=_id", "p1 p2 p3 p4 p5"),
    ("Patient?_sort=-_id", "p5 p4 p3 p2 p1"),
    ("Patient?_sort=_lastUpdated", "p3 p1 p5 p2 p4"),
    ("Patient?_sort=-_lastUpdated", "p4 p2 p5 p1 p3"),
    ("Patient", "p4 p2 p5 p1 p3"),
    ("Patient?_sort=family", "p3 p5 p4 p1 p2"),
    ("Patient?_sort=-family", "p3 p1 p4 p5 p2"),
    ("Patient?_sort=birthdate", "p4 p1 p5 p3 p2"),
    ("Patient?_sort=-birthdate", "p3 p5 p1 p4 p2"),
    ("Patient?_sort=gender", "p1 p2 p3 p5 p4"),
    ("Patient?_sort=-gender", "p5 p3 p2 p1 p4"),
    ("Patient?_sort=active", "p4 p2 p3 p1 p5"),
    ("Patient?_sort=-active", "p2 p4 p5 p1 p3"),
    ("Patient?_sort=identifier", "p1 p3 p5 p2 p4"),
    ("Patient?_sort=-identifier", "p1 p3 p4 p2 p5"),
    ("Patient?_sort=organization", "p5 p3 p1 p2 p4"),
    ("Patient?_sort=-organization", "p3 p5 p4 p2 p1"),
    ("Observation?_sort=date", "o4 o2 o1 o3"),
    ("Observation?_sort=-date", "o1 o2 o4 o3"),
    ("Observation?_sort=value-quantity", "o3 o2 o1 o4"),
    ("Observation?_sort=-value-quantity", "o4 o1 o2 o3"),
    ("Observation?_sort=code", "o3 o1 o2 o4"),
    ("Observation?_sort=-code", "o3 o1 o2 o4"),
    ("Encounter?patient=p1&_sort=-date", "e5 e1 e3 e7 e4"),
    ("Encounter?patient=Patient/p1&_sort=date", "e7 e3 e1 e5 e4"),
    ("Encounter?subject=Patient/p1&_sort=-date", "e5 e1 e3 e7 e4"),
    ("Encounter?subject=Group/p1&_sort=-date", "e6"),
    ("Encounter?subject=Patient/p1,Patient/p2&_sort=-date", "e2 e5 e1 e3 e7 e4"),
    ("Encounter?patient=p1&date=lt2021&_sort=date", "e7 e3"),
    ("Encounter?patient=nobody&_sort=date", ""),
    ("Appointment?patient=p1&_sort=date", "a3 a1"),
    ("Appointment?patient=p2&_sort=-date", "a1 a2 a3"),
    ("RiskAssessment?_sort=probability", "r2 r5 r4 r1 r3"),
    ("RiskAssessment?_sort=-probability", "r2 r4 r1 r5 r3"),
    ("ValueSet?_sort=url", "v2 v1 v3"),
    ("ValueSet?_sort=-url", "v1 v2 v3"),
    ("ValueSet?_sort=status,url", "v2 v1 v3"),
    ("ValueSet?_sort=status,-url", "v2 v1 v3"),
    ("ValueSet?_sort=-status,url", "v1 v3 v2"),
    ("Patient?_sort=gender,birthdate", "p1 p2 p5 p3 p4"),
    ("Patient?_sort=gender,-birthdate", "p1 p2 p3 p5 p4"),
    ("Patient?_sort=-gender,birthdate", "p5 p3 p1 p2 p4"),
    ("Patient?_sort=family,_id", "p3 p4 p5 p1 p2"),
    ("Patient?_sort=family,-_id", "p3 p5 p4 p1 p2"),
    ("Patient?_sort=active,gender,-_id", "p4 p2 p1 p5 p3"),
    ("Patient?_sort=birthdate&gender=male,female", "p1 p5 p3 p2"),
    ("Patient?_sort=birthdate&family=bauer", "p4 p5"),
    ("Patient?_sort=-birthdate&gender:missing=true", "p4"),
    ("?_sort=_id&_type=ValueSet,RiskAssessment", "r1 r2 r3 r4 r5 v1 v2 v3"),
    ("?_sort=-_lastUpdated&_type=ValueSet,RiskAssessment", "v3 v2 v1 r5 r4 r3 r2 r1"),
    ("?_sort=-_lastUpdated&_id=o1,p1,r1", "r1 o1 p1"),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 20])
@pytest.mark.parametrize(("search", "expected"), ORDERS)
async def test_pages_follow_the_order(
    client: httpx.AsyncClient, search: str, expected: str, size: int
) -> None:
    separator = "&" if "?" in search else "?"
    assert await in_order(client, f"{search}{separator}_count={size}") == expected.split()


@pytest.mark.parametrize(("search", "expected"), ORDERS)
async def test_previous_pages_lead_back(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    separator = "&" if "?" in search else "?"
    url: str | None = f"{search}{separator}_count=2"
    forwards = []
    while url:
        bundle = resource_of(await client.get(url))
        forwards.append([item["id"] for item in resources_of(bundle)])
        url, back = link_of(bundle, "next"), link_of(bundle, "previous")
    assert [id_ for page in forwards for id_ in page] == expected.split()
    backwards = [forwards[-1]]
    while back:
        bundle = resource_of(await client.get(back))
        backwards.append([item["id"] for item in resources_of(bundle)])
        back = link_of(bundle, "previous")
        following = link_of(bundle, "next")
        assert following is not None
        again = resource_of(await client.get(following))
        assert [item["id"] for item in resources_of(again)] == backwards[-2]
    assert backwards == forwards[::-1]


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Patient?_sort=nonsense", "'nonsense'"),
        ("Patient?_sort=", "parameters separated by commas"),
        ("Patient?_sort=-", "parameters separated by commas"),
        ("Patient?_sort=family,", "parameters separated by commas"),
        ("Patient?_sort=family&_sort=gender", "given once"),
        ("Patient?_sort=" + ",".join(["family"] * 9), "at most 8"),
        ("Patient?_sort=family:desc", "'family:desc'"),
        ("Patient?_sort=organization.name", "'organization.name'"),
        ("Patient?_sort=_text", "_text"),
        ("Patient?_sort=_filter", "_filter"),
        ("Observation?_sort=code-value-quantity", "no order"),
        ("Location?_sort=near", "no order"),
        ("?_sort=family", "all types"),
        ("Patient?_sort:asc=family", "'_sort' on Patient"),
        ("Patient?_sort=family;drop", "'family;drop'"),
    ],
)
async def test_a_sort_that_is_not_understood_is_refused(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)


async def test_the_lenient_are_told_that_the_sort_was_left_out(client: httpx.AsyncClient) -> None:
    headers = {"Prefer": "handling=lenient"}
    bundle = resource_of(await client.get("Patient?_sort=nonsense&_id=p1", headers=headers))
    assert link_of(bundle, "self") == "http://test/fhir/Patient?_id=p1"
    assert ids_of(bundle) == {"p1"}
