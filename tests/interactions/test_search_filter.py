"""_filter: each operator of R4 search_filter.html, as it finds resources."""

from urllib.parse import quote

import httpx
import pytest

from tests.answers import refusal_of, resource_of
from tests.interactions.searching import (
    FORM,
    coded,
    finds,
    observation,
    patient,
    put_all,
    reference,
    resource,
)

pytestmark = pytest.mark.usefixtures("every_step")

UCUM = "http://unitsofmeasure.org"

RESOURCES = (
    patient(
        "a",
        gender="male",
        birthDate="1970-05",
        name=[{"family": "Müller", "given": ["Peter", "Paul"]}],
        managingOrganization=reference("Organization/acme"),
    ),
    patient("b", gender="female", birthDate="1980-01-01", name=[{"family": "Mueller-Smith"}]),
    patient("c", name=[{"family": "Smith 100%_"}], identifier=[{"system": "urn:i", "value": "1"}]),
    resource("Organization", "acme", name="Acme", partOf=reference("Organization/top")),
    resource("Organization", "top", name="Top"),
    observation(
        "glu",
        subject=reference("Patient/a"),
        code=coded("http://loinc.org|2345-7"),
        valueQuantity={"value": 5.4, "system": UCUM, "code": "mmol/L"},
        effectivePeriod={"start": "2020-01-10", "end": "2020-01-20"},
    ),
    observation(
        "hgb",
        subject=reference("Patient/b"),
        code=coded("urn:lab|HGB"),
        valueQuantity={"value": 9, "system": UCUM, "code": "g/L"},
        effectiveDateTime="2020-02-01",
    ),
    resource(
        "RiskAssessment",
        "risk",
        status="final",
        subject=reference("Patient/a"),
        prediction=[{"probabilityDecimal": 0.3}],
    ),
    resource("ValueSet", "vs", status="draft", url="http://example.org/v"),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


STRINGS = [
    ('family eq "müller"', "a"),
    ("family eq MULLER", "a"),
    ("family eq mull", ""),
    ("family ne muller", "b c"),
    ("given ne peter", "a"),
    ("family co ell", "b"),
    ("family co ll", "a b"),
    ("family sw mu", "a b"),
    ("family sw smith", "c"),
    ("family ew smith", "b"),
    ('family ew "100%_"', "c"),
    ("family co %", "c"),
    ("family co _", "c"),
    ("family gt muller", "c"),
    ("family ge muller", "a c"),
    ("family lt muller", "b"),
    ("family le muller", "a b"),
    ("family pr true", "a b c"),
    ("given pr false", "b c"),
]
TOKENS = [
    ("gender eq male", "a"),
    ("gender pr true", "a b"),
    ("gender pr false", "c"),
    ("identifier eq urn:i|1", "c"),
    ("identifier eq 1", "c"),
    ("identifier eq urn:x|1", ""),
    ("_id eq a", "a"),
]
DATES = [
    ("birthdate eq 1970-05", "a"),
    ("birthdate eq 1970", "a"),
    ("birthdate ne 1970-05", "b"),
    ("birthdate gt 1975", "b"),
    ("birthdate lt 1975", "a"),
    ("birthdate ge 1980-01-01", "b"),
    ("birthdate le 1970-05-10", "a"),
    ("birthdate sa 1970-06", "b"),
    ("birthdate eb 1970-06", "a"),
    ("birthdate co 1970-05-03", "a"),
    ("birthdate po 1970-05-20", "a"),
    ("birthdate po 1970-06", ""),
    ("_lastUpdated gt 2000", "a b c"),
]
LOGIC = [
    ("gender eq male and family co ll", "a"),
    ("gender eq male or family sw smith", "a c"),
    ("not (gender eq male)", "b c"),
    ("not(gender eq male or gender eq female)", "c"),
    ("gender eq male or gender eq female and birthdate gt 1975", "b"),
    ("gender eq male or (gender eq female and birthdate gt 1975)", "a b"),
    ("(gender eq male or gender eq female) and birthdate lt 1975", "a"),
    ("organization.name eq acme", "a"),
    ("organization.name eq top", ""),
    ("organization.partof.name eq top", "a"),
    ("organization[name eq acme].partof.name eq top", "a"),
    ("organization[name eq other].partof.name eq top", ""),
    ("organization re Organization/acme", "a"),
    ("organization re acme", "a"),
    ("organization re http://localhost:8080/fhir/Organization/acme", "a"),
    ("organization pr false", "b c"),
]
OBSERVATIONS = [
    ("code eq loinc|2345-7", "glu"),
    ("code eq http://loinc.org|2345-7", "glu"),
    ("code eq urn:lab|HGB", "hgb"),
    ("value-quantity gt 5", "glu hgb"),
    ("value-quantity gt 6", "hgb"),
    ("value-quantity eq 5.4|ucum|mmol/L", "glu"),
    ("value-quantity eq 5400|ucum|umol/L", "glu"),
    ("value-quantity ne 5.4|ucum|mmol/L", ""),
    ("value-quantity ap 9.5|ucum|g/L", "hgb"),
    ("date co 2020-01-15", "glu"),
    ("date co 2020-01-05", ""),
    ("date po 2020-01", "glu"),
    ("date po 2020-01-20", "glu"),
    ("date po 2020", "glu hgb"),
    ("subject.name eq peter", "glu"),
    ("subject:Patient.name eq peter", "glu"),
    ("subject.birthdate gt 1975", "hgb"),
    ("subject:Patient[gender eq male].organization.name eq acme", "glu"),
    ("patient.name sw mue and code eq HGB", "hgb"),
]
OTHERS = [
    ("RiskAssessment", "probability gt 0.2", "risk"),
    ("RiskAssessment", "probability lt 0.2", ""),
    ("RiskAssessment", "probability eq 0.30", "risk"),
    ("RiskAssessment", "probability co 0.3", "risk"),
    ("ValueSet", "url eq http://example.org/v", "vs"),
    ("ValueSet", "url pr true", "vs"),
    ("", "_id eq a or _id eq glu", "a glu"),
]
FILTERS = [
    *(("Patient", text, expected) for text, expected in STRINGS + TOKENS + DATES + LOGIC),
    *(("Observation", text, expected) for text, expected in OBSERVATIONS),
    *OTHERS,
]


@pytest.mark.parametrize(("type_", "text", "expected"), FILTERS)
async def test_a_filter_finds_exactly(
    client: httpx.AsyncClient, type_: str, text: str, expected: str
) -> None:
    await finds(client, f"{type_}?_filter={quote(text, safe='')}", expected)


async def test_a_filter_joins_the_other_parameters(client: httpx.AsyncClient) -> None:
    await finds(client, "Patient?_filter=family co ll&gender=male", "a")
    await finds(client, "Patient?_filter=family co ll&_filter=gender eq female", "b")
    await finds(client, "Observation?subject:Patient._filter=gender eq male", "glu")
    await finds(client, "Patient?_has:Observation:patient:_filter=value-quantity gt 6", "b")
    answer = await client.post("Patient/_search", content="_filter=gender+eq+male", headers=FORM)
    assert resource_of(answer)["total"] == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the name of a search parameter"),
        ("name", "character 5"),
        ("name eq", "a value"),
        ("name xx a", "one of the operators eq, ne"),
        ("nonsense eq 1", "'nonsense'"),
        ("organization.nonsense eq 1", "'nonsense'"),
        ("gender.name eq 1", "only a reference"),
        ("gender co ma", "co does not compare gender (token)"),
        ("birthdate eq soon", "'soon'"),
        ("birthdate co gt1970", "without a prefix"),
        ("name eq a and", "a search parameter"),
        ("(name eq a", "')'"),
        ("name pr maybe", "true or false"),
        ("family[name eq a].x eq 1", "only a reference"),
        ("not name eq a", "'(' after 'not'"),
        ("name eq a b", "'and', 'or' or the end"),
        (" and ".join(["name eq a"] * 101), "at most 100"),
        ("(" * 30 + "name eq a" + ")" * 30, "at most 20"),
        ("_list eq 1", "_list"),
    ],
)
async def test_a_filter_that_is_not_understood_is_refused(
    client: httpx.AsyncClient, text: str, told: str
) -> None:
    answer = await client.get(f"Patient?_filter={quote(text, safe='')}")
    assert told in refusal_of(answer, 400)
