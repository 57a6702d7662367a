"""search among contained resources (R4 search.html#contained)."""

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.searching import (
    Resource,
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

UCUM = "http://unitsofmeasure.org"


def weight(id_: str, kilograms: float, **more: object) -> Resource:
    quantity = {"value": kilograms, "system": UCUM, "code": "kg"}
    return observation(id_, code=coded("W"), valueQuantity=quantity, **more)


def report(id_: str, *inside: Resource, **more: object) -> Resource:
    found = resource("DiagnosticReport", id_, status="final", code={"text": "x"}, **more)
    return found | {"contained": list(inside), "result": [reference(f"#{i['id']}") for i in inside]}


ANN, BOB = [{"family": "Ann", "given": ["A"]}], [{"family": "Bob", "given": ["B"]}]
RESOURCES = (
    resource("Organization", "acme", name="Acme"),
    patient("real", name=ANN, gender="male", birthDate="1970"),
    patient("other", name=BOB, gender="female",
            managingOrganization=reference("Organization/acme")),
    observation("one", subject=reference("#p"), effectiveDateTime="2020", contained=[
        patient("p", name=ANN, gender="female", birthDate="1980-05-01",
                managingOrganization=reference("Organization/acme"))]),
    # Two that only together are a female called Ann.
    observation("two", subject=reference("#p"), focus=[reference("#q")], contained=[
        patient("p", name=ANN, gender="male", birthDate="1970",
                generalPractitioner=[reference("#d")]),
        patient("q", name=BOB, gender="female", birthDate="1990",
                managingOrganization=reference("#o")),
        resource("Practitioner", "d", name=[{"family": "House"}]),
        resource("Organization", "o", name="Acme inside", partOf=reference("Organization/acme"))]),
    observation("none", subject=reference("Patient/real"), code=coded("X")),
    report("light", weight("a", 3), weight("b", 5, status="preliminary"),
           subject=reference("Patient/real")),
    report("heavy", weight("a", 80, subject=reference("Patient/other"))),
    resource("Task", "self", status="draft", intent="order", contained=[
        resource("Task", "inner", status="ready", intent="order", focus=reference("#"),
                 partOf=[reference("Task/outer")])]),
    resource("Task", "outer", status="draft", intent="order"),
    resource("Encounter", "visit", status="planned", **{"class": {"code": "AMB"}},
             location=[{"location": reference("#l")}],
             contained=[resource("Location", "l", name="Bed", partOf=reference("Location/ward"),
                                 position={"latitude": 48.2, "longitude": 16.3})]),
    resource("Location", "ward", name="Ward", partOf=reference("Location/clinic")),
    resource("Location", "clinic", name="Clinic"),
    resource("Location", "nook", partOf=reference("#f"), contained=[
        resource("Location", "f", name="Floor", partOf=reference("Location/clinic"))]),
    resource("Encounter", "outside", status="planned", **{"class": {"code": "AMB"}},
             location=[{"location": reference("Location/clinic")}]),
    resource("QuestionnaireResponse", "r", status="completed", questionnaire="#q", contained=[
        resource("Questionnaire", "q", status="draft", title="Mood")]),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("Patient?_contained=true", "one two"),
        ("Patient?_contained=true&family=ann", "one two"),
        ("Patient?_contained=true&family:exact=Ann", "one two"),
        ("Patient?_contained=true&family:contains=O", "two"),
        ("Patient?_contained=true&gender=female", "one two"),
        ("Patient?_contained=true&family=ann&gender=female", "one"),
        ("Patient?_contained=true&family=ann&given=b", ""),
        ("Patient?_contained=true&birthdate=ge1975", "one two"),
        ("Patient?_contained=true&birthdate=gt1975&family=ann", "one"),
        ("Patient?_contained=true&birthdate=lt1975,gt1985", "two"),
        ("Patient?_contained=true&birthdate=1980", "one"),
        ("Patient?_contained=true&gender:not=female", "two"),
        ("Patient?_contained=true&organization:missing=true", "two"),
        ("Patient?_contained=true&organization:missing=true&gender=female", ""),
        ("Patient?_contained=true&_id=q", "two"),
        ("Patient?_contained=true&_id:not=p", "two"),
        ("Patient?_contained=true&_filter=family sw ann and gender eq female", "one"),
        ("Patient?_contained=true&_filter=not (gender eq female)", "two"),
        ("Patient?_contained=true&_lastUpdated=gt2001", "one two"),
        ("Patient?_contained=true&_lastUpdated=lt2001", ""),
        ("Observation?_contained=true&value-quantity=gt4000|http://unitsofmeasure.org|g",
         "light heavy"),
        ("Observation?_contained=true&code-value-quantity=W$lt10", "light"),
        ("Observation?_contained=true&code-value-quantity=W$lt4&status=preliminary", ""),
        ("Observation?_contained=true&code-value-quantity=W$5&status=preliminary", "light"),
        ("Observation?_contained=true&code=X", ""),
        ("Location?_contained=true&near=48.2|16.3|1|km", "visit"),
        ("Location?_contained=true&near=40|10|1|km", ""),
        ("Medication?_contained=true", ""),
    ],
)  # fmt: skip
async def test_containers_are_found_by_what_one_contained_resource_is(
    client: httpx.AsyncClient, search: str, found: str
) -> None:
    await finds(client, search, found)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("Patient?family=ann", "real"),
        ("Patient?_contained=false&family=ann", "real"),
        ("Patient?_contained=both&family=ann", "real one two"),
        ("Patient?_contained=both", "real other one two"),
        ("Patient?_contained=both&birthdate=1970", "real two"),
        ("Patient?_contained=both&gender:not=female", "real two"),
        ("Task?_contained=both&status=ready,draft", "self outer"),
        ("Task?_contained=true&status=draft", ""),
        ("?_contained=true&_type=Practitioner,Organization", "two"),
        ("?_contained=true&_type=Patient,Location&name=ann,bed", "one two visit"),
        ("?_contained=both&_type=Patient,Location&name=ann,ward", "real one two ward"),
        ("?_contained=true&_id=l,d", "two visit"),
        ("?_contained=both&_id=l,one", "one visit"),
        ("?_contained=true", "one two light heavy self visit nook r"),
    ],
)
async def test_real_resources_are_found_too_if_asked_for(
    client: httpx.AsyncClient, search: str, found: str
) -> None:
    await finds(client, search, found)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("Observation?subject:Patient.family=ann", "one two none"),
        ("Observation?subject:Patient.birthdate=lt1975", "two none"),
        ("Observation?subject:Patient.birthdate=lt1975&code:missing=true", ""),
        ("Observation?patient.gender=female", "one"),
        ("Observation?focus:Patient.family=bob", "two"),
        ("Observation?focus:Patient.family=ann", ""),
        ("Observation?subject:Patient.general-practitioner:Practitioner.family=house", "two"),
        ("Observation?focus:Patient.organization.name=acme", "two"),
        ("Observation?focus:Patient.organization.partof.name=acme", "two"),
        ("Observation?subject:Patient.organization.name=acme", "one"),
        ("DiagnosticReport?result.value-quantity=gt4000|http://unitsofmeasure.org|g",
         "light heavy"),
        ("DiagnosticReport?result.patient.family=bob", "heavy"),
        ("Encounter?location.name=bed", "visit"),
        ("Encounter?location:below=Location/clinic", "visit outside"),
        ("Encounter?location:below=Location/ward", "visit"),
        ("Encounter?location:above=Location/nook", "outside"),
        ("Location?partof:below=Location/clinic", "ward nook"),
        ("Encounter?location:below=Location/elsewhere", ""),
        ("QuestionnaireResponse?questionnaire.title=mood", "r"),
        ("QuestionnaireResponse?questionnaire.title=sleep", ""),
    ],
)  # fmt: skip
async def test_chains_end_in_contained_resources_too(
    client: httpx.AsyncClient, search: str, found: str
) -> None:
    await finds(client, search, found)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("Patient?_contained=true&organization=Organization/acme", "one"),
        ("Patient?_contained=true&organization.name=acme", "one two"),
        ("Patient?_contained=true&organization.name=acme&gender=male", ""),
        ("Patient?_contained=true&organization.name:exact=Acme", "one"),
        ("Patient?_contained=true&general-practitioner:Practitioner.family=house", "two"),
        ("Observation?_contained=true&patient.family=bob", "heavy"),
        ("Task?_contained=true&focus:Task.status=draft", "self"),
        ("Task?_contained=true&part-of:Task.status=draft", "self"),
        ("Organization?_contained=true&partof.name=acme", "two"),
        ("Location?_contained=true&partof:below=Location/clinic", "visit nook"),
        ("Location?_contained=true&partof:below=Location/ward", "visit"),
        ("Patient?_contained=true&_has:Observation:subject:date=2020", "one"),
        ("Patient?_contained=true&_has:Observation:subject:status=final&gender=female", "one"),
        ("Patient?_contained=true&_has:Observation:focus:status=final", "two"),
        ("Patient?_has:Observation:subject:status=final", "real"),
    ],
)
async def test_chains_begin_in_contained_resources_too(
    client: httpx.AsyncClient, search: str, found: str
) -> None:
    await finds(client, search, found)


async def test_words_are_those_of_the_contained_resource(client: httpx.AsyncClient) -> None:
    await finds(client, "Practitioner?_contained=true&_content=house", "two")
    await finds(client, "Patient?_contained=true&_content=house", "")


async def test_a_container_is_in_a_compartment_not_what_it_contains(
    client: httpx.AsyncClient,
) -> None:
    await finds(client, "Patient/real/Observation?_contained=true&code=W", "light")
    await finds(client, "Patient/real/Observation?_contained=both", "none light")
    await finds(client, "Patient/other/Observation?_contained=true", "")
    await finds(client, "Patient/real/*?_contained=true&_id=a", "light")


async def test_the_entries_are_containers_under_their_own_urls(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Patient?_contained=true&_id=q&_total=accurate"))
    (entry,) = bundle["entry"]
    assert entry["fullUrl"].endswith("/Observation/two")
    assert entry["search"] == {"mode": "match"}
    assert [item["id"] for item in entry["resource"]["contained"]] == ["p", "q", "d", "o"]
    assert bundle["total"] == 1
    assert "_contained=true" in bundle["link"][0]["url"]


@pytest.mark.parametrize("total", ["accurate", "estimate"])
async def test_totals_and_pages_are_of_containers(client: httpx.AsyncClient, total: str) -> None:
    search = "Patient?_contained=both&_count=1"
    assert await in_order(client, search) == ["two", "one", "other", "real"]
    assert await in_order(client, f"{search}&_sort=_id") == ["one", "other", "real", "two"]
    assert await in_order(client, f"{search}&_sort=-_lastUpdated") == [
        "two", "one", "other", "real",
    ]  # fmt: skip
    bundle = resource_of(await client.get(f"{search}&_total={total}"))
    assert bundle["total"] == 4
    bundle = resource_of(await client.get("Patient?_contained=true&_count=0"))
    assert bundle["total"] == 2


async def test_includes_are_those_of_the_containers(client: httpx.AsyncClient) -> None:
    search = "Observation?_contained=true&code=W&_include=DiagnosticReport:subject"
    bundle = resource_of(await client.get(search))
    found = [(entry["resource"]["id"], entry["search"]["mode"]) for entry in bundle["entry"]]
    assert sorted(found) == [("heavy", "match"), ("light", "match"), ("real", "include")]


@pytest.mark.parametrize(
    ("search", "named"),
    [
        ("Patient?_contained=maybe", "_contained=maybe: expected one of false, true, both"),
        ("Patient?_contained=true&_contained=both", "_contained=both"),
        ("Patient?_contained=true&_containedType=contained", "_containedType=contained is not"),
        ("Patient?_contained=true&_containedType=x", "_containedType=x: expected one of container"),
        ("Patient?_contained=true&_sort=family", "_sort=family: with _contained=true"),
        ("Patient?_contained=both&_sort=_id,family", "_sort=family: with _contained=both"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(
    client: httpx.AsyncClient, search: str, named: str
) -> None:
    assert named in refusal_of(await client.get(search), 400)


async def test_a_lenient_search_leaves_it_out_and_says_so(client: httpx.AsyncClient) -> None:
    search = "Patient?_contained=true&_containedType=contained&_sort=family&gender=male"
    answer = await client.get(search, headers={"Prefer": "handling=lenient"})
    bundle = resource_of(answer)
    match, outcome = bundle["entry"]
    assert match["resource"]["id"] == "two"
    said = [issue["diagnostics"] for issue in outcome["resource"]["issue"]]
    assert ["_containedType" in text for text in said] == [True, False]
    assert "_sort=family" in said[1]
    assert bundle["link"][0]["url"].endswith("Patient?_contained=true&gender=male")


async def test_an_explanation_tells_of_what_is_contained(client: httpx.AsyncClient) -> None:
    search = "Patient?_contained=true&family=ann&_explain=true"
    parameters = resource_of(await client.get(search))["parameter"]
    by_name = {item["name"]: item.get("valueString", "") for item in parameters}
    assert by_name["understood"].startswith("contains a Patient that has a row in string_value")
