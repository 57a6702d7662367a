"""search by whether there is a value at all (R4 search.html#modifiers)."""

import httpx
import pytest

from tests.answers import refusal_of
from tests.interactions.searching import coded, finds, observation, patient, put_all, reference

pytestmark = pytest.mark.usefixtures("every_step")

RESOURCES = (
    patient(
        "a", gender="male", birthDate="1970", name=[{"family": "A"}], meta={"tag": [{"code": "t"}]}
    ),
    patient("b", maritalStatus={"text": "married"}, telecom=[{"system": "phone", "value": "1"}]),
    patient("c", generalPractitioner=[{"display": "Dr. X"}], name=[{"given": ["..."]}]),
    patient("d", multipleBirthInteger=2),
    observation("text", code={"text": "only text"}),
    observation(
        "full",
        code=coded("x"),
        valueQuantity={"value": 1},
        effectivePeriod={"start": "2020"},
        subject=reference("Patient/a"),
    ),
    observation("unit", valueQuantity={"unit": "kg"}),
    observation("comparable", valueRange={"low": {"value": 1}}),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


# The parameter, and the resources that have a value.
PRESENT = [
    ("Patient?gender", "a"),
    ("Patient?birthdate", "a"),
    ("Patient?family", "a"),
    ("Patient?given", "c"),
    ("Patient?name", "a c"),
    ("Patient?telecom", "b"),
    ("Patient?phone", "b"),
    ("Patient?email", ""),
    ("Patient?general-practitioner", "c"),
    ("Patient?organization", ""),
    ("Patient?_tag", "a"),
    ("Patient?_profile", ""),
    ("Patient?_id", "a b c d"),
    ("Patient?_lastUpdated", "a b c d"),
    ("Observation?code", "text full unit comparable"),
    ("Observation?value-quantity", "full unit"),
    ("Observation?date", "full"),
    ("Observation?patient", "full"),
    ("Observation?code-value-quantity", "full unit"),
]
ALL = {"Patient": "a b c d", "Observation": "text full unit comparable"}


@pytest.mark.parametrize(("search", "present"), PRESENT)
async def test_missing_divides_all_resources(
    client: httpx.AsyncClient, search: str, present: str
) -> None:
    absent = set(ALL[search.partition("?")[0]].split()) - set(present.split())
    await finds(client, f"{search}:missing=false", present)
    await finds(client, f"{search}:missing=true", " ".join(absent))


COMBINED = [
    ("Patient?gender:missing=true&name:missing=false", "c"),
    ("Patient?gender:missing=true&gender=male", ""),
    ("Patient?gender:missing=false&gender:not=male", ""),
    ("Patient?gender:missing=true&gender:missing=false", ""),
    ("?_tag:missing=false", "a"),
    ("?_tag:missing=true", "b c d text full unit comparable"),
    ("?_tag:missing=true&_id=a,b", "b"),
    ("?_type=Patient&gender:missing=true", "b c d"),
    ("?_type=Patient,Observation&_tag:missing=true", "b c d text full unit comparable"),
    ("?_id:missing=true", ""),
]


@pytest.mark.parametrize(("search", "expected"), COMBINED)
async def test_missing_goes_with_other_parameters(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


async def test_what_a_resource_lacks_follows_its_versions(client: httpx.AsyncClient) -> None:
    await put_all(client, [patient("changing", gender="male")])
    await finds(client, "Patient?_id=changing&gender:missing=false", "changing")
    await put_all(client, [patient("changing")])
    await finds(client, "Patient?_id=changing&gender:missing=true", "changing")
    assert (await client.delete("Patient/changing")).is_success
    await finds(client, "Patient?_id=changing&gender:missing=true", "")


@pytest.mark.parametrize("value", ["yes", "True", "1", "true,false", "", "eqtrue"])
async def test_missing_takes_true_or_false_only(client: httpx.AsyncClient, value: str) -> None:
    told = refusal_of(await client.get(f"Patient?gender:missing={value}"), 400)
    assert "true or false" in told or "empty value" in told
