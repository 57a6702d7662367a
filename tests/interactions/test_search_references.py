"""search by reference (R4 search.html#reference)."""

import httpx
import pytest

from tests.answers import refusal_of
from tests.interactions.searching import finds, observation, patient, put_all, reference, resource

pytestmark = pytest.mark.usefixtures("every_step")

GP = "general-practitioner"

RESOURCES = (
    patient("a", generalPractitioner=[{"reference": "Practitioner/gp", "display": "Dr. Hoüse"}]),
    patient("b", generalPractitioner=[reference("http://test/fhir/Practitioner/gp")]),
    patient("c", generalPractitioner=[reference("http://other.example/fhir/Practitioner/gp")]),
    patient(
        "d",
        managingOrganization=reference("Organization/o/_history/3"),
        generalPractitioner=[{"identifier": {"system": "urn:npi", "value": "77"}}],
    ),
    patient("e", generalPractitioner=[reference("Organization/gp"), {"display": "dr. no"}]),
    patient("f", generalPractitioner=[reference("http://localhost:8080/fhir/Practitioner/gp")]),
    observation("low", subject=reference("Patient/a")),
    observation("high", subject=reference("Patient/b")),
    observation("group", subject=reference("Group/a")),
    observation("inside", subject=reference("#p"), contained=[patient("p")]),
    observation("outside", subject=reference("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")),
    resource("Location", "top"),
    resource("Location", "middle", partOf=reference("Location/top")),
    resource("Location", "bottom", partOf=reference("Location/middle")),
    resource("Location", "ring", partOf=reference("Location/ring")),
    resource(
        "Encounter",
        "at-top",
        status="planned",
        **{"class": {"code": "AMB"}},
        location=[{"location": reference("Location/top")}],
    ),
    resource(
        "Encounter",
        "at-bottom",
        status="planned",
        **{"class": {"code": "AMB"}},
        location=[{"location": reference("Location/bottom")}],
    ),
    resource(
        "Encounter",
        "in-ring",
        status="planned",
        **{"class": {"code": "AMB"}},
        location=[{"location": reference("Location/ring")}],
    ),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


PLAIN = [
    ("Observation?subject=Patient/a", "low"),
    ("Observation?subject=a", "low group"),
    ("Observation?subject:Patient=a", "low"),
    ("Observation?subject:Group=a", "group"),
    ("Observation?subject:Device=a", ""),
    ("Observation?patient=a", "low"),
    ("Observation?patient=Patient/a", "low"),
    ("Observation?subject=http://test/fhir/Patient/a", "low"),
    ("Observation?subject=http://localhost:8080/fhir/Patient/a", "low"),
    ("Observation?subject=http://other.example/fhir/Patient/a", ""),
    ("Observation?subject=Patient/a,Patient/b", "low high"),
    ("Observation?subject=Patient/a&subject=Patient/b", ""),
    ("Observation?subject=Patient/a/_history/1", "low"),
    ("Observation?subject=urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "outside"),
    ("Observation?subject=Patient/p", ""),
    (f"Patient?{GP}=Practitioner/gp", "a b f"),
    (f"Patient?{GP}=http://test/fhir/Practitioner/gp", "a b f"),
    (f"Patient?{GP}=gp", "a b e f"),
    (f"Patient?{GP}:Practitioner=gp", "a b f"),
    (f"Patient?{GP}:Organization=gp", "e"),
    (f"Patient?{GP}=http://other.example/fhir/Practitioner/gp", "c"),
    ("Patient?organization=Organization/o", "d"),
    ("Patient?organization=o", "d"),
]
IDENTIFIERS = [
    (f"Patient?{GP}:identifier=urn:npi|77", "d"),
    (f"Patient?{GP}:identifier=urn:npi|", "d"),
    (f"Patient?{GP}:identifier=77", "d"),
    (f"Patient?{GP}:identifier=|77", ""),
    (f"Patient?{GP}:identifier=78,77", "d"),
]
TEXTS = [
    (f"Patient?{GP}:text=dr", "a e"),
    (f"Patient?{GP}:text=dr. house", "a"),
    (f"Patient?{GP}:text=house", ""),
    (f"Patient?{GP}:text=DR. NO,x", "e"),
]
HIERARCHIES = [
    ("Encounter?location:below=Location/top", "at-top at-bottom"),
    ("Encounter?location:below=middle", "at-bottom"),
    ("Encounter?location:below=Location/bottom", "at-bottom"),
    ("Encounter?location:below=Location/nowhere", ""),
    ("Encounter?location:below=Location/ring,bottom", "in-ring at-bottom"),
    ("Encounter?location:above=Location/bottom", "at-top at-bottom"),
    ("Encounter?location:above=Location/middle", "at-top"),
    ("Encounter?location:above=Location/ring", "in-ring"),
    ("Location?partof:below=Location/top", "middle bottom"),
    ("Location?partof:above=Location/bottom", "middle bottom"),
]


@pytest.mark.parametrize(("search", "expected"), PLAIN + IDENTIFIERS + TEXTS + HIERARCHIES)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        (f"Patient?{GP}=a/b", "Type/id"),
        (f"Patient?{GP}:Practitioner=Practitioner/a", "id of a Practitioner"),
        (f"Patient?{GP}:Patient=1", ":Patient"),
        (f"Patient?{GP}:exact=1", ":identifier"),
        (f"Patient?{GP}:above=Practitioner/1", "expected one of Organization"),
        (f"Patient?{GP}=", "empty value"),
        ("Observation?subject:below=Patient/a", "expected one of Location"),
        ("Observation?patient:below=a", ":below"),
        ("QuestionnaireResponse?item-subject=1", "Type/id"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)
