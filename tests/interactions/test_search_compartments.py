"""search of compartments (R4 http.html#vsearch, compartmentdefinition.html)."""

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.searching import (
    FORM,
    coded,
    finds,
    in_order,
    observation,
    patient,
    put_all,
    reference,
    resource,
)

pytestmark = pytest.mark.usefixtures("every_step")


def condition(id_: str, subject: str, **more: object) -> dict[str, object]:
    return resource("Condition", id_, subject=reference(subject), **more)


RESOURCES = (
    patient("a", link=[{"other": reference("Patient/b"), "type": "seealso"}]),
    patient("b"),
    resource("Practitioner", "doc"),
    resource("Device", "dev"),
    observation("o1", subject=reference("Patient/a"), code=coded("GLU")),
    observation("o2", performer=[reference("Patient/a")], code=coded("HGB")),
    observation("o3", subject=reference("Patient/b"), performer=[reference("Practitioner/doc")]),
    observation("o4", subject=reference("Group/a")),
    observation("o5", subject=reference("http://elsewhere.example/fhir/Patient/a")),
    condition("c1", "Patient/a", asserter=reference("Practitioner/doc")),
    condition("c2", "Patient/b", encounter=reference("Encounter/e")),
    resource("Encounter", "e", status="planned", **{"class": {"code": "AMB"}},
             subject=reference("Patient/b")),
    resource("Organization", "org", name="Org"),
    resource("Location", "loc"),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


SEARCHES = [
    ("Patient/a/Observation", "o1 o2"),
    ("Patient/a/Observation?code=GLU", "o1"),
    ("Patient/a/Observation?code:not=GLU", "o2"),
    ("Patient/a/Observation?subject=Patient/b", ""),
    ("Patient/a/Observation?_id=o1,o3", "o1"),
    ("Patient/a/Condition", "c1"),
    ("Patient/a/Patient", "a"),
    ("Patient/b/Patient", "a b"),
    ("Patient/a/*", "a o1 o2 c1"),
    ("Patient/b/*", "a b o3 c2 e"),
    ("Patient/a/*?_type=Observation", "o1 o2"),
    ("Patient/a/*?_type=Observation,Condition", "o1 o2 c1"),
    ("Patient/a/*?_type=Observation,Condition&code=GLU", "o1"),
    ("Patient/a/*?_id=o1,a,o3", "o1 a"),
    ("Patient/a/*?_type=Organization", ""),
    ("Patient/a/*?_lastUpdated=gt2000", "a o1 o2 c1"),
    ("Practitioner/doc/Observation", "o3"),
    ("Practitioner/doc/Condition", "c1"),
    ("Practitioner/doc/*", "doc o3 c1"),
    ("Encounter/e/Condition", "c2"),
    ("Encounter/e/Encounter", "e"),
    ("Encounter/e/*", "e c2"),
    ("Device/dev/*", "dev"),
    ("Patient/nobody/Observation", ""),
    ("Patient/nobody/*", ""),
]


@pytest.mark.parametrize(("search", "expected"), SEARCHES)
async def test_a_compartment_has_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize("size", [1, 2])
async def test_a_compartment_is_paged_and_sorted(client: httpx.AsyncClient, size: int) -> None:
    found = await in_order(client, f"Patient/a/*?_sort=_id&_count={size}")
    assert found == ["a", "c1", "o1", "o2"]


async def test_a_compartment_is_searched_by_post(client: httpx.AsyncClient) -> None:
    for path in ("Patient/a/Observation/_search", "Patient/a/*/_search"):
        answer = await client.post(path, content="_id=o1,o3", headers=FORM)
        assert [entry["resource"]["id"] for entry in resource_of(answer)["entry"]] == ["o1"]


@pytest.mark.parametrize(
    ("search", "status", "told"),
    [
        ("Organization/org/Patient", 404, "those that have: Device, Encounter, Patient"),
        ("Organization/org/*", 404, "Organization has no compartment"),
        ("Patient/a/Organization", 404, "No Organization"),
        ("Patient/a/Location", 404, "No Location"),
        ("Nonsense/a/Observation", 404, "'Nonsense'"),
        ("Patient/a/Nonsense", 404, "Patient/a/Nonsense"),
        ("Patient/a/Observation?nonsense=1", 400, "'nonsense'"),
        ("Patient/a/*?code=GLU", 400, "'code'"),
        ("Patient/a/Observation?_type=Observation", 400, "_type"),
    ],
)
async def test_what_is_no_compartment_is_refused(
    client: httpx.AsyncClient, search: str, status: int, told: str
) -> None:
    assert told in refusal_of(await client.get(search), status)
