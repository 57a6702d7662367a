"""search: what each kind of parameter finds (R4 search.html#ptypes)."""

from typing import Any

import httpx
import pytest

from tests.answers import ids_of, refusal_of, resource_of

LAB = "http://lab.example/codes"


def patient(id_: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **more}


def observation(id_: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"text": "x"},
        **more,
    }


RESOURCES: tuple[dict[str, Any], ...] = (
    patient(
        "a",
        active=True,
        gender="female",
        birthDate="1970-03-30",
        name=[{"family": "Müller-Lüdenscheidt", "given": ["Änne", "Maria"]}],
        identifier=[
            {
                "system": "urn:mrn",
                "value": "1",
                "type": {"coding": [{"system": "urn:types", "code": "MR"}]},
            }
        ],
        generalPractitioner=[{"reference": "Practitioner/gp"}],
    ),
    patient(
        "b",
        active=False,
        gender="male",
        birthDate="1970-04",
        name=[{"family": "MULLER", "given": ["Bob"]}],
        identifier=[{"value": "1"}],
        generalPractitioner=[{"reference": "http://test/fhir/Practitioner/gp"}],
    ),
    patient(
        "c",
        birthDate="1971",
        name=[{"family": "100%_sure\\", "given": ["O'Neil, Jr|III$"]}],
        identifier=[{"system": "urn:other", "value": "1,2|3"}],
        generalPractitioner=[{"reference": "http://other.example/fhir/Practitioner/gp"}],
    ),
    patient(
        "d",
        managingOrganization={"reference": "Organization/o/_history/3"},
        generalPractitioner=[{"identifier": {"system": "urn:npi", "value": "77"}}],
    ),
    observation(
        "low",
        subject={"reference": "Patient/a"},
        code={"coding": [{"system": LAB, "code": "GLU"}, {"code": "glu"}]},
        valueQuantity={"value": 5.4, "unit": "mmol/l", "system": "urn:ucum", "code": "mmol/L"},
        effectiveDateTime="2026-03-01T10:00:00+01:00",
    ),
    observation(
        "high",
        subject={"reference": "Patient/b"},
        code={"coding": [{"system": LAB, "code": "HGB"}]},
        valueQuantity={"value": 100, "unit": "g/L"},
        effectivePeriod={"start": "2026-02-01", "end": "2026-03-15"},
    ),
    observation(
        "negative",
        subject={"reference": "Patient/a"},
        code={"coding": [{"system": "http://other.example", "code": "GLU"}]},
        valueQuantity={"value": -3, "system": "urn:ucum", "code": "mmol/L"},
        effectiveInstant="2026-03-01T09:00:00.500Z",
    ),
    {
        "resourceType": "RiskAssessment",
        "id": "risk",
        "status": "final",
        "subject": {"reference": "Patient/a"},
        "prediction": [{"probabilityDecimal": 0.50}],
    },
    {
        "resourceType": "ValueSet",
        "id": "vs",
        "status": "draft",
        "url": "http://example.org/ValueSet/x",
        "version": "2",
    },
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    for body in RESOURCES:
        answer = await client.put(f"{body['resourceType']}/{body['id']}", json=body)
        assert answer.status_code == 201, answer.text


TOKENS = [
    ("Patient?identifier=1", "a b"),
    ("Patient?identifier=urn:mrn|1", "a"),
    ("Patient?identifier=urn%3Amrn%7C1", "a"),
    ("Patient?identifier=|1", "b"),
    ("Patient?identifier=urn:mrn|", "a"),
    ("Patient?identifier=urn:mrn|1,urn:other|", "a c"),
    (r"Patient?identifier=urn:other|1\,2\|3", "c"),
    (r"Patient?identifier=1\,2\|3", "c"),
    ("Patient?identifier=1,2", "a b"),
    ("Patient?identifier=urn:MRN|1", ""),
    ("Patient?identifier:of-type=urn:types|MR|1", "a"),
    ("Patient?identifier:of-type=urn:types|MR|2", ""),
    ("Patient?gender=male", "b"),
    ("Patient?gender=male,female", "a b"),
    ("Patient?gender=http://hl7.org/fhir/administrative-gender|male", "b"),
    ("Patient?gender:not=male", "a c d"),
    ("Patient?gender:not=male,female", "c d"),
    ("Patient?active=true", "a"),
    ("Patient?active=false", "b"),
    ("Patient?gender=female&active=false", ""),
    ("Patient?gender=female&active=true", "a"),
    ("Observation?code=GLU", "low negative"),
    (f"Observation?code={LAB}|GLU", "low"),
    (f"Observation?code={LAB}|", "low high"),
    ("Observation?code=|glu", "low"),
    (f"Observation?code={LAB}|GLU&code=HGB", ""),
]
REFERENCES = [
    ("Observation?subject=Patient/a", "low negative"),
    ("Observation?subject=a", "low negative"),
    ("Observation?subject:Patient=a", "low negative"),
    ("Observation?subject:Group=a", ""),
    ("Observation?patient=a", "low negative"),
    ("Observation?subject=http://test/fhir/Patient/a", "low negative"),
    ("Observation?subject=http://localhost:8080/fhir/Patient/a", "low negative"),
    ("Observation?subject=http://other.example/fhir/Patient/a", ""),
    ("Observation?subject=Patient/a,Patient/b", "low negative high"),
    ("Observation?subject=Patient/a/_history/1", "low negative"),
    ("Patient?general-practitioner=Practitioner/gp", "a b"),
    ("Patient?general-practitioner=http://test/fhir/Practitioner/gp", "a b"),
    ("Patient?general-practitioner=gp", "a b"),
    ("Patient?general-practitioner=http://other.example/fhir/Practitioner/gp", "c"),
    ("Patient?general-practitioner:identifier=urn:npi|77", "d"),
    ("Patient?general-practitioner:identifier=77", "d"),
    ("Patient?organization=Organization/o", "d"),
]
STRINGS = [
    ("Patient?family=müller", "a b"),
    ("Patient?family=Muller", "a b"),
    ("Patient?family=muller-lud", "a"),
    ("Patient?family=ludenscheidt", ""),
    ("Patient?family:contains=LÜDEN", "a"),
    ("Patient?family:exact=MULLER", "b"),
    ("Patient?family:exact=Muller", ""),
    ("Patient?family:exact=Müller-Lüdenscheidt", "a"),
    ("Patient?family:exact=Mu%CC%88ller-Lu%CC%88denscheidt", ""),
    ("Patient?name=anne", "a"),
    ("Patient?name=maria,bob", "a b"),
    ("Patient?name=maria&name=bob", ""),
    ("Patient?family:contains=0%25_", "c"),
    ("Patient?family:contains=0_", ""),
    ("Patient?family:contains=%25", "c"),
    (r"Patient?given=o'neil\, jr\|iii\$", "c"),
    (r"Patient?family:exact=100%25_sure\\", "c"),
    (r"Patient?family:contains=e\\", "c"),
]
DATES = [
    ("Patient?birthdate=1970", "a b"),
    ("Patient?birthdate=1970-03-30", "a"),
    ("Patient?birthdate=1970-03", "a"),
    ("Patient?birthdate=1970-04-01", ""),
    ("Patient?birthdate=ne1970", "c d"),
    ("Patient?birthdate=gt1970-04-15", "b c"),
    ("Patient?birthdate=lt1970-04-15", "a b"),
    ("Patient?birthdate=ge1971", "c"),
    ("Patient?birthdate=le1970-03-30", "a"),
    ("Patient?birthdate=sa1970-03-30", "b c"),
    ("Patient?birthdate=eb1970-04-01", "a"),
    ("Patient?birthdate=1970-03-30,1971", "a c"),
    ("Patient?birthdate=gt1970-03-01&birthdate=lt1970-03-31", "a"),
    ("Observation?date=2026-03-01", "low negative"),
    ("Observation?date=2026-03-01T09:00Z", "low negative"),
    ("Observation?date=2026-03-01T09:00:00Z", "low negative"),
    ("Observation?date=2026-03-01T10:00:00%2B01:00", "low negative"),
    ("Observation?date=2026-03-01T09:00:00.500Z", "negative"),
    ("Observation?date=2026", "low high negative"),
    ("Observation?date=ap2026-03-01", "low high negative"),
    ("Observation?date=sa2026-02-28", "low negative"),
    ("Observation?date=ge2026-03-10", "high"),
    ("Observation?date=eb2026-03-10", "low negative"),
]
NUMBERS = [
    ("RiskAssessment?probability=0.5", "risk"),
    ("RiskAssessment?probability=0.50", "risk"),
    ("RiskAssessment?probability=0.500", "risk"),
    ("RiskAssessment?probability=0.49", ""),
    ("RiskAssessment?probability=0", ""),
    ("RiskAssessment?probability=gt0.5", ""),
    ("RiskAssessment?probability=ge0.5", "risk"),
    ("RiskAssessment?probability=lt0.5", ""),
    ("RiskAssessment?probability=le0.5", "risk"),
    ("RiskAssessment?probability=sa0.49", "risk"),
    ("RiskAssessment?probability=eb0.51", "risk"),
    ("RiskAssessment?probability=5e-1", "risk"),
    ("RiskAssessment?probability=gt0.4", "risk"),
    ("RiskAssessment?probability=gt0.6", ""),
    ("RiskAssessment?probability=lt0.6", "risk"),
    ("RiskAssessment?probability=ne0.5", ""),
    ("RiskAssessment?probability=ap0.52", "risk"),
    ("Observation?value-quantity=5.4", "low"),
    ("Observation?value-quantity=5.40", "low"),
    ("Observation?value-quantity=5.41", ""),
    ("Observation?value-quantity=gt5.4", "high"),
    ("Observation?value-quantity=ge5.4", "low high"),
    ("Observation?value-quantity=5.4|urn:ucum|mmol/L", "low"),
    ("Observation?value-quantity=5.4||mmol/L", "low"),
    ("Observation?value-quantity=5.4||mmol/l", "low"),
    ("Observation?value-quantity=5.4|urn:other|mmol/L", ""),
    ("Observation?value-quantity=5|urn:ucum|mmol/L", "low"),
    ("Observation?value-quantity=gt5", "low high"),
    ("Observation?value-quantity=lt0", "negative"),
    ("Observation?value-quantity=-3", "negative"),
    ("Observation?value-quantity=lt-2.5", "negative"),
    ("Observation?value-quantity=ge100", "high"),
    ("Observation?value-quantity=1e2", "high"),
    ("Observation?value-quantity=100||g/L", "high"),
    ("Observation?value-quantity=ap110", "high"),
]
OTHERS = [
    ("Patient?_id=a", "a"),
    ("Patient?_id=a,d,x", "a d"),
    ("Patient?_id=A", ""),
    ("Observation?_id=a", ""),
    ("?_id=a,low", "a low"),
    ("ValueSet?url=http://example.org/ValueSet/x", "vs"),
    ("ValueSet?url=http://example.org/ValueSet/X", ""),
    ("ValueSet?url=http://example.org/ValueSet", ""),
    ("Patient?_lastUpdated=gt2001", "a b c d"),
    ("Patient?_lastUpdated=lt2001", ""),
    ("Patient?_lastUpdated=ne2001-01-01", "a b c d"),
    ("Patient?_lastUpdated=sa2001-01-01T00:00:00Z&_lastUpdated=le9999", "a b c d"),
    ("Patient?_lastUpdated=eb0001,ge2001", "a b c d"),
]


@pytest.mark.parametrize(
    ("search", "expected"), TOKENS + REFERENCES + STRINGS + DATES + NUMBERS + OTHERS
)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    found = resource_of(await client.get(search))
    assert ids_of(found) == set(expected.split())
    assert found["total"] == len(expected.split())


async def test_last_updated_is_the_instant_the_resource_says(client: httpx.AsyncClient) -> None:
    instant = resource_of(await client.get("Patient/b"))["meta"]["lastUpdated"]
    assert "b" in ids_of(resource_of(await client.get(f"Patient?_lastUpdated={instant}")))
    later = resource_of(await client.get(f"Patient?_lastUpdated=gt{instant}"))
    earlier = resource_of(await client.get(f"Patient?_lastUpdated=lt{instant}"))
    assert "b" not in ids_of(later) | ids_of(earlier)
    assert ids_of(later) | ids_of(earlier) <= {"a", "c", "d"}


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Patient?identifer=1", "did you mean identifier"),
        ("Patient?nonsense=1", "birthdate"),
        ("Patient?name:near=x", ":contains, :exact"),
        ("Patient?gender:text=x", ":not"),
        ("Patient?birthdate:missing=true", ":missing"),
        ("Patient?general-practitioner:Patient=1", ":Patient"),
        ("Patient?organization.name=x", "organization.name"),
        ("Patient?_has:Observation:patient:code=x", "_has"),
        ("Patient?_sort=name", "_sort"),
        ("Patient?_text=x", "_text"),
        ("?name=x", "all types"),
        ("Patient?birthdate=soon", "'soon'"),
        ("Patient?birthdate=1970-02-30", "'1970-02-30'"),
        ("Patient?birthdate=xx1970", "'xx1970'"),
        ("Patient?identifier=a|b|c", "system|code"),
        ("Patient?identifier=|", "system|code"),
        ("Patient?identifier:of-type=a|b", "system|code|value"),
        ("Patient?name=", "empty value"),
        ("Patient?name=a,,b", "empty value"),
        ("Patient?name=%20", "nothing to compare"),
        ("Patient?name=" + "x" * 301, "300"),
        ("Patient?general-practitioner=a/b", "Type/id"),
        ("Patient?general-practitioner:Practitioner=Practitioner/a", "id of a Practitioner"),
        ("Observation?value-quantity=5.4|mmol/L", "number|system|code"),
        ("Observation?value-quantity=five", "'five'"),
        ("RiskAssessment?probability=0x1", "'0x1'"),
        ("Patient?_id=" + ",".join(["a"] * 501), "500"),
        ("Patient?" + "&".join(["_id=a"] * 101), "100"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)


async def test_more_values_than_a_statement_takes_are_refused(client: httpx.AsyncClient) -> None:
    form = "&".join("name=" + ",".join(f"x{n}" for n in range(500)) for _ in range(100))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("Patient/_search", content=form, headers=headers)
    refusal_of(answer, 400, "too-costly")


async def test_every_unknown_parameter_is_named_at_once(client: httpx.AsyncClient) -> None:
    told = refusal_of(await client.get("Patient?foo=1&bar=2&name=x&baz=3"), 400, "not-supported")
    assert all(f"'{name}'" in told for name in ("foo", "bar", "baz"))
