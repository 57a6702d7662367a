"""search by token and uri (R4 search.html#token, #uri)."""

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

LAB = "http://lab.example/codes"
GENDER = "http://hl7.org/fhir/administrative-gender"

MR = {"coding": [{"system": "urn:types", "code": "MR"}], "text": "Medical récord number"}

RESOURCES = (
    patient(
        "a",
        active=True,
        gender="female",
        identifier=[{"system": "urn:mrn", "value": "1", "type": MR}],
        telecom=[{"system": "phone", "value": "555-1"}, {"system": "email", "value": "a@b.c"}],
        communication=[{"language": {"coding": [{"code": "fr"}], "text": "French, spoken"}}],
        meta={"tag": [{"system": "urn:tags", "code": "t1", "display": "First tag"}]},
    ),
    patient("b", active=False, gender="male", identifier=[{"value": "1"}]),
    patient(
        "c",
        identifier=[{"system": "urn:other", "value": "1,2|3"}, {"system": "urn:mrn", "value": "*"}],
        deceasedDateTime="2020",
        meta={"security": [{"system": "urn:tags", "code": "t1"}], "profile": ["urn:p:1"]},
    ),
    patient(
        "d",
        identifier=[{"system": "urn:mrn"}, {"value": "a$b\\c"}],
        deceasedBoolean=False,
        telecom=[{"system": "other", "value": "a@b.c"}],
    ),
    observation("low", code=coded(f"{LAB}|GLU|Glucose in blood", "glu", text="Blood sugar")),
    observation("high", code=coded(f"{LAB}|HGB|Hämoglobin")),
    observation("other", code=coded("http://other.example|GLU|Glue")),
    resource("ValueSet", "vs", status="draft", url="http://example.org/ValueSet/x", version="2"),
    resource("ValueSet", "deep", status="draft", url="http://example.org/ValueSet/x/y"),
    resource("ValueSet", "slash", status="draft", url="http://example.org/ValueSet/"),
    resource("ValueSet", "urn", status="draft", url="urn:oid:1.2:3"),
    resource("ValueSet", "near", status="draft", url="http://example.org/ValueSets"),
    resource(
        "QuestionnaireResponse",
        "qr",
        status="completed",
        questionnaire="http://example.org/Q|1.0",
        subject=reference("Patient/a"),
    ),
    resource("QuestionnaireResponse", "bare", status="completed", questionnaire="http://x.org/Q"),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


TOKENS = [
    ("Patient?identifier=1", "a b"),
    ("Patient?identifier=urn:mrn|1", "a"),
    ("Patient?identifier=urn%3Amrn%7C1", "a"),
    ("Patient?identifier=|1", "b"),
    ("Patient?identifier=urn:mrn|", "a c d"),
    ("Patient?identifier=urn:mrn|1,urn:other|", "a c"),
    (r"Patient?identifier=urn:other|1\,2\|3", "c"),
    (r"Patient?identifier=1\,2\|3", "c"),
    (r"Patient?identifier=a\$b\\c", "d"),
    ("Patient?identifier=1,2", "a b"),
    ("Patient?identifier=urn:MRN|1", ""),
    ("Patient?identifier=urn|1", ""),
    ("Patient?identifier=urn:mrn|1&identifier=urn:other|", ""),
    ("Patient?identifier=urn:mrn|&identifier=urn:other|", "c"),
    ("Patient?identifier:not=1", "c d"),
    ("Patient?identifier:not=urn:mrn|", "b"),
    ("Patient?identifier:not=|1", "a c d"),
    ("Patient?gender=male", "b"),
    ("Patient?gender=male,female", "a b"),
    (f"Patient?gender={GENDER}|male", "b"),
    (f"Patient?gender={GENDER}|", "a b"),
    ("Patient?gender=|male", ""),
    ("Patient?gender:not=male", "a c d"),
    ("Patient?gender:not=male,female", "c d"),
    ("Patient?gender:not=male&gender:not=female", "c d"),
    ("Patient?gender:not=male&gender=female", "a"),
    ("Patient?gender:not=nonsense", "a b c d"),
    ("Patient?active=true", "a"),
    ("Patient?active=false", "b"),
    ("Patient?active:not=true", "b c d"),
    ("Patient?gender=female&active=false", ""),
    ("Patient?gender=female&active=true", "a"),
    ("Patient?deceased=true", "c"),
    ("Patient?deceased=false", "a b d"),
    ("Patient?telecom=555-1", "a"),
    ("Patient?telecom=a@b.c", "a d"),
    ("Patient?phone=555-1", "a"),
    ("Patient?phone=a@b.c", ""),
    ("Patient?email=a@b.c", "a"),
    ("Patient?language=fr", "a"),
    ("Patient?language=|fr", "a"),
    ("Observation?code=GLU", "low other"),
    ("Observation?code=glu", "low"),
    (f"Observation?code={LAB}|GLU", "low"),
    (f"Observation?code={LAB}|", "low high"),
    (f"Observation?code:not={LAB}|GLU", "high other"),
    ("Observation?code=|glu", "low"),
    ("Observation?code=|GLU", ""),
    (f"Observation?code={LAB}|GLU&code=HGB", ""),
    (f"Observation?code={LAB}|GLU&code=|glu", "low"),
    ("Observation?status=final", "low high other"),
    ("Observation?status:not=final", ""),
]
STARS = [
    ("Patient?identifier=*", "c"),
    ("Patient?identifier=urn:mrn|*", "c"),
    ("Patient?identifier=urn:other|*", ""),
    ("Patient?identifier=*|1", ""),
    ("Patient?identifier=*|", ""),
    ("Patient?identifier=|*", ""),
]
OF_TYPE = [
    ("Patient?identifier:of-type=urn:types|MR|1", "a"),
    ("Patient?identifier:of-type=urn:types|MR|2", ""),
    ("Patient?identifier:of-type=urn:types|XX|1,urn:types|MR|1", "a"),
]
TEXTS = [
    ("Observation?code:text=blood", "low"),
    ("Observation?code:text=BLOOD SU", "low"),
    ("Observation?code:text=sugar", ""),
    ("Observation?code:text=gluc", "low"),
    ("Observation?code:text=glu", "low other"),
    ("Observation?code:text=hamo", "high"),
    ("Observation?code:text=hämo,glue", "high other"),
    ("Observation?code:text=x", ""),
    ("Patient?identifier:text=medical record", "a"),
    (r"Patient?language:text=french\, spo", "a"),
    ("Patient?language:text=french,spo", "a"),
    ("Patient?_tag:text=first", "a"),
    ("Observation?code:text=%25", ""),
    ("Observation?code:text=_", ""),
]
META = [
    ("Patient?_tag=t1", "a"),
    ("Patient?_tag=urn:tags|t1", "a"),
    ("Patient?_tag:not=t1", "b c d"),
    ("Patient?_security=t1", "c"),
    ("Patient?_profile=urn:p:1", "c"),
    ("Patient?_profile=urn:p", ""),
    ("Patient?_profile:below=urn:p", "c"),
    ("?_tag=t1", "a"),
    ("?_security=urn:tags|t1", "c"),
    ("?_tag=t1&_security=t1", ""),
]
URIS = [
    ("ValueSet?url=http://example.org/ValueSet/x", "vs"),
    ("ValueSet?url=http://example.org/ValueSet/X", ""),
    ("ValueSet?url=http://example.org/ValueSet", ""),
    ("ValueSet?url=http://example.org/ValueSet/", "slash"),
    ("ValueSet?url=http://example.org/ValueSet/x,urn:oid:1.2:3", "vs urn"),
    ("ValueSet?url:below=http://example.org/ValueSet/x", "vs deep"),
    ("ValueSet?url:below=http://example.org/ValueSet/x/", "vs deep"),
    ("ValueSet?url:below=http://example.org/ValueSet", "vs deep slash"),
    ("ValueSet?url:below=http://example.org", "vs deep slash near"),
    ("ValueSet?url:below=http://example.or", ""),
    ("ValueSet?url:below=http:", ""),
    ("ValueSet?url:below=urn:oid", "urn"),
    ("ValueSet?url:below=urn:oid:1.2", "urn"),
    ("ValueSet?url:below=urn:oid:1", ""),
    ("ValueSet?url:above=http://example.org/ValueSet/x/y/z", "vs deep slash"),
    ("ValueSet?url:above=http://example.org/ValueSet/x", "vs slash"),
    ("ValueSet?url:above=http://example.org/ValueSets/1", "near"),
    ("ValueSet?url:above=urn:oid:1.2:3:4", "urn"),
    ("ValueSet?version=2", "vs"),
    ("QuestionnaireResponse?questionnaire=http://example.org/Q", "qr"),
    ("QuestionnaireResponse?questionnaire=http://example.org/Q%7C1.0", "qr"),
    ("QuestionnaireResponse?questionnaire=http://example.org/Q%7C2", ""),
    ("QuestionnaireResponse?questionnaire=http://x.org/Q", "bare"),
    ("QuestionnaireResponse?questionnaire=http://x.org/Q%7C1", ""),
]


@pytest.mark.parametrize(("search", "expected"), TOKENS + STARS + OF_TYPE + TEXTS + META + URIS)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Patient?identifier=a|b|c", "system|code"),
        ("Patient?identifier=|", "system|code"),
        ("Patient?identifier=", "empty value"),
        ("Patient?identifier=1,", "empty value"),
        ("Patient?identifier:of-type=a|b", "system|code|value"),
        ("Patient?identifier:of-type=a||b", "system|code|value"),
        ("Patient?identifier:exact=1", ":of-type"),
        ("Patient?identifier:near=1", "'identifier' of Patient"),
        ("Patient?gender:text=%20", "nothing to compare"),
        ("ValueSet?url:contains=x", ":above, :below"),
        ("Patient?identifier=a%00", "U+0000"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)
