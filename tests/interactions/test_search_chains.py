"""search along references: chains, _has and _list (R4 search.html#chaining, #has, #list)."""

import httpx
import pytest

from tests.answers import refusal_of
from tests.interactions.searching import (
    coded,
    finds,
    observation,
    patient,
    put_all,
    reference,
    resource,
)

pytestmark = pytest.mark.usefixtures("every_step")

GP = "general-practitioner"
QUESTIONS = "http://example.org/Questionnaire/q"


def visit(id_: str, subject: str, **more: object) -> dict[str, object]:
    encounter = {"status": "planned", "class": {"code": "AMB"}, "subject": reference(subject)}
    return resource("Encounter", id_, **(encounter | more))


RESOURCES = (
    resource("Organization", "acme", name="Acme"),
    resource("Organization", "beta", name="Beta", partOf=reference("Organization/acme")),
    resource("Practitioner", "house", name=[{"family": "House"}]),
    resource("Practitioner", "no", name=[{"family": "No"}]),
    patient(
        "a",
        gender="male",
        birthDate="1970",
        identifier=[{"value": "1"}],
        managingOrganization=reference("Organization/beta"),
        generalPractitioner=[reference("Practitioner/house"), reference("Organization/acme")],
    ),
    patient(
        "b",
        gender="female",
        managingOrganization=reference("Organization/acme"),
        generalPractitioner=[reference("http://localhost:8080/fhir/Practitioner/no")],
    ),
    patient("c", managingOrganization=reference("Organization/gone")),
    patient("d"),
    resource("Group", "g", type="person", actual=True, identifier=[{"value": "1"}]),
    resource("Device", "dev", deviceName=[{"name": "Acme meter", "type": "other"}]),
    visit("v", "Patient/a"),
    visit("w", "Patient/b", status="finished"),
    observation("o-a", subject=reference("Patient/a"), encounter=reference("Encounter/v"),
                code=coded("GLU"), effectiveDateTime="2020", valueQuantity={"value": 5}),
    observation("o-a2", subject=reference("Patient/a"), code=coded("HGB")),
    observation("o-b", subject=reference("Patient/b"), encounter=reference("Encounter/w"),
                code=coded("GLU"), effectiveDateTime="2021", valueQuantity={"value": 9}),
    observation("o-g", subject=reference("Group/g"), code=coded("XXX")),
    observation("o-dev", subject=reference("Device/dev"), code=coded("XXX")),
    observation("o-c", subject=reference("Patient/c"), hasMember=[reference("Observation/o-a")]),
    resource("Questionnaire", "q", status="draft", url=QUESTIONS, title="Mood"),
    resource("Questionnaire", "q2", status="draft", url=QUESTIONS + "2", title="Sleep"),
    resource("QuestionnaireResponse", "r1", status="completed", questionnaire=QUESTIONS),
    resource("QuestionnaireResponse", "r2", status="completed", questionnaire=QUESTIONS + "2|7"),
    resource("List", "l1", status="current", mode="working",
             entry=[{"item": reference("Patient/a")}, {"item": reference("Observation/o-b")}]),
    resource("List", "l2", status="current", mode="working",
             entry=[{"item": reference("Patient/d")}, {"item": reference("Patient/a")}]),
    resource("List", "l3", status="current", mode="working"),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)
    # What is deleted is at the end of no chain, though references to it stay.
    gone = resource("Organization", "gone", name="Gone")
    await put_all(client, [gone])
    assert (await client.delete("Organization/gone")).status_code in (200, 204)


CHAINS = [
    ("Patient?organization.name=acme", "b"),
    ("Patient?organization.name=beta,acme", "a b"),
    ("Patient?organization.name=gone", ""),
    ("Patient?organization:Organization.name=beta", "a"),
    ("Patient?organization.name:exact=Beta", "a"),
    ("Patient?organization.name:contains=CM", "b"),
    ("Patient?organization.partof.name=acme", "a"),
    ("Patient?organization.partof=acme", "a"),
    ("Patient?organization._id=acme", "b"),
    ("Patient?organization._id=gone", ""),
    ("Patient?organization._lastUpdated=gt2000", "a b"),
    ("Patient?organization.name=acme&organization.name=beta", ""),
    ("Patient?organization.name=beta&gender=male", "a"),
    ("Patient?organization.name=beta&gender=female", ""),
    (f"Patient?{GP}.name=house", "a"),
    (f"Patient?{GP}.name=no", "b"),
    (f"Patient?{GP}.name=acme", "a"),
    (f"Patient?{GP}:Practitioner.name=acme", ""),
    (f"Patient?{GP}:Organization.name=acme", "a"),
    (f"Patient?{GP}.family=house", "a"),
    ("Observation?patient.organization.name=beta", "o-a o-a2"),
    ("Observation?patient.organization.partof.name=acme", "o-a o-a2"),
    ("Observation?subject:Patient.organization:Organization.name=acme", "o-b"),
    ("Observation?subject.organization.name=acme", "o-b"),
    ("Observation?subject.identifier=1", "o-a o-a2 o-g"),
    ("Observation?subject:Group.identifier=1", "o-g"),
    ("Observation?subject.device-name=acme", "o-dev"),
    ("Observation?subject:Patient.gender=male,female", "o-a o-a2 o-b"),
    ("Observation?encounter.subject:Patient.gender=male", "o-a"),
    ("Observation?has-member:Observation.patient.gender=male", "o-c"),
    ("Observation?code=GLU&subject:Patient.gender=male", "o-a"),
]
ENDINGS = [
    ("Observation?subject:Patient.gender:not=male", "o-b o-c"),
    ("Observation?subject:Patient.gender:missing=true", "o-c"),
    ("Observation?subject:Patient.gender:missing=false", "o-a o-a2 o-b"),
    ("Observation?subject:Patient.birthdate=1970", "o-a o-a2"),
    ("Observation?subject:Patient._has:Encounter:patient:status=planned", "o-a o-a2"),
    ("Observation?subject:Patient._has:Encounter:patient:status=finished,planned", "o-a o-a2 o-b"),
    ("Observation?encounter.status:not=planned", "o-b"),
    ("Observation?subject:Patient._filter=gender eq male", "o-a o-a2"),
]
CANONICAL = [
    ("QuestionnaireResponse?questionnaire.title=mood", "r1"),
    ("QuestionnaireResponse?questionnaire.title=sleep", "r2"),
    ("QuestionnaireResponse?questionnaire.title=mood,sleep", "r1 r2"),
    ("QuestionnaireResponse?questionnaire:Questionnaire.status=draft", "r1 r2"),
    ("QuestionnaireResponse?questionnaire.title=none", ""),
]
HAS = [
    ("Patient?_has:Observation:patient:code=GLU", "a b"),
    ("Patient?_has:Observation:patient:code=HGB", "a"),
    ("Patient?_has:Observation:subject:code=GLU,HGB", "a b"),
    ("Patient?_has:Observation:patient:code=GLU&_has:Observation:patient:code=HGB", "a"),
    ("Patient?_has:Observation:patient:code:not=GLU", "a c"),
    ("Patient?_has:Observation:patient:date:missing=true", "a c"),
    ("Patient?_has:Observation:patient:date=2020", "a"),
    ("Patient?_has:Observation:patient:code-value-quantity=GLU$gt6", "b"),
    ("Patient?_has:Observation:patient:_id=o-b,o-c", "b c"),
    ("Patient?_has:Observation:patient:_lastUpdated=lt2000", ""),
    ("Patient?_has:Encounter:patient:_has:Observation:encounter:code=GLU", "a b"),
    ("Patient?_has:Encounter:patient:_has:Observation:encounter:date=2021", "b"),
    ("Patient?_has:Observation:patient:encounter.status=planned", "a"),
    ("Organization?_has:Patient:organization:gender=male", "beta"),
    (f"Organization?_has:Patient:organization:{GP}.name=no", "acme"),
    ("Organization?_has:Patient:organization:_has:Observation:patient:code=GLU", "acme beta"),
    ("Organization?_has:Patient:organization:_has:Observation:patient:code=HGB", "beta"),
    ("Organization?_has:Organization:partof:name=beta", "acme"),
    ("Practitioner?_has:Patient:general-practitioner:gender=female", "no"),
    ("Group?_has:Observation:subject:code=XXX", "g"),
    ("Device?_has:Observation:subject:code=XXX", "dev"),
    ("Device?_has:Observation:subject:code=GLU", ""),
    ("Observation?_has:Observation:has-member:patient.organization:missing=false", "o-a"),
    ("?_has:Observation:subject:code=XXX", "g dev"),
    ("?_has:Observation:subject:code=HGB&_id=a,b", "a"),
]
LISTS = [
    ("Patient?_list=l1", "a"),
    ("Observation?_list=l1", "o-b"),
    ("?_list=l1", "a o-b"),
    ("Patient?_list=l1,l2", "a d"),
    ("Patient?_list=l1&_list=l2", "a"),
    ("Patient?_list=l3", ""),
    ("Patient?_list=none", ""),
    ("Patient?_list=l2&gender:missing=true", "d"),
]


@pytest.mark.parametrize(("search", "expected"), CHAINS + ENDINGS + CANONICAL + HAS + LISTS)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


REFUSED = [
    ("Patient?organization.nonsense=x", "'nonsense'"),
    ("Patient?organization.name:near=x", ":near"),
    ("Patient?organization:Patient.name=x", "never refers to Patient"),
    ("Patient?gender.name=x", "'gender' of Patient is a token"),
    ("Patient?nonsense.name=x", "'nonsense'"),
    ("Patient?organization.=x", "''"),
    ("Patient?.name=x", "''"),
    ("Patient?organization..name=x", "''"),
    ("Patient?organization.name=", "empty value"),
    ("QuestionnaireResponse?item-subject.name=x", "item-subject:Patient"),
    ("Patient?_has:Observation:patient=x", "_has:Type:reference:parameter"),
    ("Patient?_has:Observation:patient:=x", "_has:Type:reference:parameter"),
    ("Patient?_has:Nonsense:patient:code=x", "'Nonsense'"),
    ("Patient?_has:Resource:patient:code=x", "'Resource'"),
    ("Patient?_has:Observation:code:code=x", "only a reference"),
    ("Patient?_has:Observation:nonsense:code=x", "'nonsense'"),
    ("Patient?_has:Observation:patient:nonsense=x", "'nonsense'"),
    ("Patient?_has:Observation:encounter:code=x", "never refers to Patient"),
    ("Patient?_has:Observation:patient:date=soon", "'soon'"),
    ("Patient?_list=$current-allergies", "$current-allergies"),
    ("Patient?_list=", "empty value"),
]


@pytest.mark.parametrize(("search", "told"), REFUSED)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)


@pytest.mark.parametrize(
    "name",
    [
        "organization." + "partof." * 8 + "name",
        "_has:Organization:partof:" * 9 + "name",
        "subject:Patient." * 12 + "name",
        "_has:Patient:link:" * 200 + "name",
        "link." * 200 + "name",
    ],
)
async def test_a_chain_that_is_too_long_is_refused(client: httpx.AsyncClient, name: str) -> None:
    place = "Organization" if "Organization:partof" in name else "Patient"
    refusal_of(await client.get(f"{place}?{name}=x"), 400)


async def test_a_chain_of_eight_references_is_followed(client: httpx.AsyncClient) -> None:
    await finds(client, "Organization?" + "partof." * 8 + "name=x", "")
    await finds(client, "Patient?organization." + "partof." * 7 + "name:missing=true", "")


async def test_a_chain_that_may_lead_to_too_many_types_is_refused(
    client: httpx.AsyncClient,
) -> None:
    name = "Provenance?target.subject.general-practitioner.identifier=x"
    assert "name them" in refusal_of(await client.get(name), 400, "too-costly")
