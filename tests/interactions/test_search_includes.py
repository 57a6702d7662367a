"""search: what comes along with matches (R4 search.html#include)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.answers import ids_of, link_of, refusal_of, resource_of, resources_of
from tests.interactions.includes import (
    included,
    including_at_most,
    observation,
    pages,
    reference,
    told,
)

FEW = 3
SURVEY = "http://example.org/Questionnaire/survey"


def survey(id_: str, version: str) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": id_,
        "status": "draft",
        "url": SURVEY,
        "version": version,
    }


def response(id_: str, questionnaire: str) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id_,
        "status": "completed",
        "questionnaire": questionnaire,
    }


RESOURCES: tuple[dict[str, Any], ...] = (
    {"resourceType": "Organization", "id": "top", "name": "Top"},
    {
        "resourceType": "Organization",
        "id": "ward",
        "name": "Before",
        "partOf": reference("Organization/top"),
    },
    {
        "resourceType": "Organization",
        "id": "ward",
        "name": "After",
        "partOf": reference("Organization/top"),
    },
    {"resourceType": "Organization", "id": "gone", "name": "Gone"},
    {"resourceType": "Practitioner", "id": "gp"},
    {"resourceType": "Group", "id": "group", "type": "person", "actual": True},
    {
        "resourceType": "Patient",
        "id": "plain",
        "name": [{"family": "Plain"}],
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        "managingOrganization": reference("Organization/ward"),
        "generalPractitioner": [reference("http://test/fhir/Practitioner/gp")],
    },
    {
        "resourceType": "Patient",
        "id": "versioned",
        "managingOrganization": reference("Organization/ward/_history/1"),
        "generalPractitioner": [reference("http://localhost:8080/fhir/Practitioner/gp")],
    },
    {
        "resourceType": "Patient",
        "id": "both",
        "managingOrganization": reference("Organization/ward/_history/2"),
        "generalPractitioner": [reference("Organization/ward")],
    },
    {
        "resourceType": "Patient",
        "id": "nowhere",
        "contained": [{"resourceType": "Practitioner", "id": "inside"}],
        "managingOrganization": reference("Organization/gone"),
        "generalPractitioner": [
            reference("#inside"),
            reference("Practitioner/missing"),
            reference("http://other.example/fhir/Practitioner/gp"),
            reference("Organization/ward/_history/9"),
            reference("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
            {"display": "nobody"},
        ],
    },
    observation("one", "Patient/plain"),
    observation("two", "Group/group"),
    observation("panel", "Patient/plain", hasMember=[reference("Observation/one")]),
    observation("ring", "Patient/versioned", hasMember=[reference("Observation/ring")]),
    observation("old", "http://test/fhir/Patient/versioned/_history/1"),
    {"resourceType": "Observation", "id": "alone", "status": "final", "code": {"text": "x"}},
    survey("first", "1"),
    survey("second", "2"),
    response("second", f"{SURVEY}|2"),
    response("any", SURVEY),
    response("third", f"{SURVEY}|3"),
    response("by-id", "http://test/fhir/Questionnaire/first"),
    {
        "resourceType": "DiagnosticReport",
        "id": "extended",
        "status": "final",
        "code": {"text": "x"},
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition",
                "valueReference": reference("Condition/assessed"),
            }
        ],
    },
    {"resourceType": "Condition", "id": "assessed", "subject": reference("Patient/plain")},
)


@pytest.fixture(scope="module", autouse=True)
async def stored(client: httpx.AsyncClient) -> None:
    for body in RESOURCES:
        answer = await client.put(f"{body['resourceType']}/{body['id']}", json=body)
        assert answer.status_code in (200, 201), answer.text
    assert (await client.delete("Organization/gone")).status_code == 204


@pytest.fixture(scope="module")
async def narrow(database: str, stored: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose pages include few resources, on the same database."""
    async with including_at_most(FEW, database) as found:
        yield found


FORWARD = [
    ("Patient?_id=plain&_include=Patient:organization", "Organization/ward/2"),
    ("Patient?_id=plain&_include=Patient:general-practitioner", "Practitioner/gp"),
    ("Patient?_id=versioned&_include=Patient:general-practitioner", "Practitioner/gp"),
    (
        "Patient?_id=plain&_include=Patient:organization&_include=Patient:general-practitioner",
        "Organization/ward/2 Practitioner/gp",
    ),
    ("Patient?_id=plain&_include=Patient:*", "Organization/ward/2 Practitioner/gp"),
    ("Patient?_id=plain&_include=*", "Organization/ward/2 Practitioner/gp"),
    ("Patient?_id=plain&_include=Patient:*:Practitioner", "Practitioner/gp"),
    ("Patient?_id=versioned&_include=Patient:organization", "Organization/ward"),
    ("Patient?_id=both&_include=*", "Organization/ward/2"),
    ("Patient?_id=plain,versioned&_include=Patient:organization", "ward/1 ward/2"),
    ("Patient?_id=nowhere&_include=*", ""),
    ("Patient?_id=missing&_include=*", ""),
    ("Observation?_id=one,two&_include=Observation:subject", "Group/group Patient/plain"),
    ("Observation?_id=one,two&_include=Observation:subject:Group", "Group/group"),
    ("Observation?_id=one,two&_include=Observation:patient", "Patient/plain"),
    ("Observation?_id=old&_include=Observation:subject", "Patient/versioned"),
    ("Observation?_id=panel,one&_include=Observation:has-member", ""),
    ("Observation?_id=panel&_include=Observation:has-member", "Observation/one"),
    ("Observation?_id=ring&_include=Observation:has-member", ""),
    ("DiagnosticReport?_include=DiagnosticReport:assessed-condition", "Condition/assessed"),
    ("?_type=Observation&_id=one&_include=Observation:subject", "Patient/plain"),
    ("?_id=one&_include=*", "Patient/plain"),
    ("Patient/plain/Observation?_id=one&_include=Observation:subject", "Patient/plain"),
]
CANONICALS = [
    ("QuestionnaireResponse?_id=second", "Questionnaire/second"),
    ("QuestionnaireResponse?_id=any", "Questionnaire/first Questionnaire/second"),
    ("QuestionnaireResponse?_id=third", ""),
    ("QuestionnaireResponse?_id=by-id", "Questionnaire/first"),
]
FORWARD += [
    (f"{search}&_include=QuestionnaireResponse:questionnaire", expected)
    for search, expected in CANONICALS
]
REVERSE = [
    ("Patient?_id=plain&_revinclude=Observation:subject", "Observation/one Observation/panel"),
    ("Patient?_id=plain&_revinclude=Observation:patient", "Observation/one Observation/panel"),
    ("Patient?_id=versioned&_revinclude=Observation:subject", "Observation/old Observation/ring"),
    ("Patient?_id=plain&_revinclude=Observation:subject:Patient", "one panel"),
    ("Patient?_id=plain&_revinclude=Observation:*", "Observation/one Observation/panel"),
    ("Patient?_id=plain&_revinclude=*", "Condition/assessed Observation/one Observation/panel"),
    ("Patient?_id=nowhere&_revinclude=*", ""),
    ("Observation?_id=one,panel&_revinclude=Observation:has-member", ""),
    ("Observation?_id=one&_revinclude=Observation:has-member", "Observation/panel"),
    ("Practitioner?_id=gp&_revinclude=Patient:general-practitioner", "plain versioned"),
    ("Organization?_id=ward&_revinclude=Patient:organization", "both plain versioned"),
    (
        "Questionnaire?_id=first&_revinclude=QuestionnaireResponse:questionnaire",
        "any by-id second third",
    ),
]
ITERATED = [
    (
        "Observation?_id=one&_include=Observation:subject&_include:iterate=Patient:organization",
        "Organization/ward/2 Patient/plain",
    ),
    (
        "Observation?_id=one&_include=*&_include:iterate=Patient:organization"
        "&_include:iterate=Organization:partof",
        "Organization/top Organization/ward/2 Patient/plain",
    ),
    (
        "Observation?_id=one&_include:iterate=*",
        "Organization/top Organization/ward/2 Patient/plain Practitioner/gp",
    ),
    (
        "Organization?_id=top&_revinclude:iterate=Organization:partof"
        "&_revinclude:iterate=Patient:organization",
        "Organization/ward/2 both plain versioned",
    ),
    (
        "Organization?_id=top&_revinclude=Organization:partof&_revinclude:iterate=Patient:organization"
        "&_include:iterate=Patient:general-practitioner",
        "Organization/ward/2 Practitioner/gp both plain versioned",
    ),
    (
        "Patient?_id=versioned&_include=*&_include:iterate=Organization:partof",
        "Organization/top Organization/ward Practitioner/gp",
    ),
    ("Observation?_id=ring&_include:iterate=Observation:has-member", ""),
]


@pytest.mark.parametrize(("search", "expected"), FORWARD + REVERSE + ITERATED)
async def test_exactly_this_comes_along(
    client: httpx.AsyncClient, narrow: httpx.AsyncClient, search: str, expected: str
) -> None:
    bundle = resource_of(await client.get(search))
    found = included(bundle)
    assert len(found) == len(set(found))
    assert {_short(name, expected) for name in found} == set(expected.split())
    assert [name for page in await pages(narrow, search) for name in included(page)] == found


def _short(name: str, expected: str) -> str:
    """A name as the expectation writes it: `plain` is enough where it says what is meant."""
    if name in expected.split():
        return name
    _, id_, *version = name.split("/")
    named = f"{id_}/{''.join(version) or '1'}"
    return named if named in expected.split() else id_


async def test_matches_come_first_and_are_the_only_ones_counted(client: httpx.AsyncClient) -> None:
    bundle = resource_of(await client.get("Patient?_id=plain,both&_include=*&_count=2"))
    modes = [entry["search"]["mode"] for entry in bundle["entry"]]
    assert modes == ["match", "match", "include", "include"]
    assert bundle["total"] == 2


async def test_the_self_link_shows_includes_and_repeats_the_search(
    client: httpx.AsyncClient,
) -> None:
    search = (
        "Observation?_id=one&_include=Observation:subject&_include:iterate=Patient:organization"
    )
    bundle = resource_of(await client.get(search))
    assert link_of(bundle, "self") == f"http://test/fhir/{search}"


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("Patient?_include=organization", "Type:parameter"),
        ("Patient?_include=", "Type:parameter"),
        ("Patient?_include=Patient:", "Type:parameter"),
        ("Patient?_include=Patient:organization:Organization:x", "Type:parameter"),
        ("Patient?_include=Patients:organization", "did you mean Patient"),
        ("Patient?_include=*:organization", "'*' is no resource type"),
        ("Patient?_include=Patient:organisation", "general-practitioner, link, organization"),
        ("Patient?_include=Patient:name", "general-practitioner, link, organization"),
        ("Patient?_include=Binary:*", "known: none"),
        ("Patient?_include=Patient:organization:Practitioner", "but to Organization"),
        ("Patient?_include=Patient:organization:Clinic", "'Clinic'"),
        ("Patient?_include=Resource:*", "'Resource'"),
        ("Patient?_include:recurse=Patient:organization", ":recurse of _include"),
        ("Patient?_revinclude:logical=Observation:subject", ":logical of _revinclude"),
        ("Patient?_include=Organization:partof", "with :iterate"),
        ("Patient?_revinclude=Observation:encounter", "never refers"),
        ("Patient?_revinclude=Observation:subject:Group", "never refers"),
        ("?_type=Patient,Group&_revinclude=Observation:encounter", "Patient or Group"),
        ("Patient?_summary=text&_include=Patient:organization", "_summary=text"),
    ],
)
async def test_what_cannot_be_included_is_refused_or_left_out_for_the_lenient(
    client: httpx.AsyncClient, search: str, said: str
) -> None:
    assert said in refusal_of(await client.get(f"{search}&_id=plain"), 400)
    if said == "Type:parameter":
        return
    headers = {"Prefer": "handling=lenient"}
    bundle = resource_of(await client.get(f"{search}&_id=plain", headers=headers))
    assert said in told(bundle, "not-supported")
    assert "include" not in (link_of(bundle, "self") or "")
    assert ids_of(bundle) == {"plain"}


async def test_a_condition_of_a_write_includes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.delete("Patient?_id=plain&_include=Patient:organization")
    assert "_include" in refusal_of(answer, 400)


@pytest.mark.parametrize("shape", ["_summary=count", "_count=0"])
async def test_a_count_includes_nothing(client: httpx.AsyncClient, shape: str) -> None:
    bundle = resource_of(await client.get(f"Patient?_id=plain&_include=*&{shape}"))
    assert "entry" not in bundle
    assert bundle["total"] == 1


async def test_a_summary_is_of_included_resources_as_well(client: httpx.AsyncClient) -> None:
    search = "Observation?_id=one&_include=Observation:subject&_summary="
    for summary, has_text in (("true", False), ("data", False), ("false", True)):
        bundle = resource_of(await client.get(f"{search}{summary}"))
        (patient,) = [
            entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "include"
        ]
        assert ("text" in patient) is has_text
        assert ("tag" in patient["meta"]) is not has_text


async def test_elements_are_those_of_matches(client: httpx.AsyncClient) -> None:
    search = "Observation?_id=one&_include=Observation:subject&_elements=status"
    bundle = resource_of(await client.get(search))
    (match,) = resources_of(bundle)
    assert "subject" not in match
    (patient,) = [
        entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "include"
    ]
    assert {"name", "text", "managingOrganization"} <= set(patient)
    assert "tag" not in patient["meta"]
