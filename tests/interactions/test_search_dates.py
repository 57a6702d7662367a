"""search by date (R4 search.html#date, #prefix)."""

import httpx
import pytest

from tests.answers import ids_of, refusal_of, resource_of
from tests.interactions.searching import finds, observation, patient, put_all

pytestmark = pytest.mark.usefixtures("every_step")

RESOURCES = (
    patient("a", birthDate="1970-03-30"),
    patient("b", birthDate="1970-04"),
    patient("c", birthDate="1971"),
    patient("d"),
    observation("at", effectiveDateTime="2026-03-01T10:00:00+01:00"),
    observation("during", effectivePeriod={"start": "2026-02-01", "end": "2026-03-15"}),
    observation("instant", effectiveInstant="2026-03-01T09:00:00.500Z"),
    observation("from", effectivePeriod={"start": "2026-04-01"}),
    observation("until", effectivePeriod={"end": "2026-01-10"}),
    observation("events", effectiveTiming={"event": ["2025-12-03", "2025-12-01"]}),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


BIRTHDATES = [
    ("Patient?birthdate=1970", "a b"),
    ("Patient?birthdate=1970-03-30", "a"),
    ("Patient?birthdate=1970-03", "a"),
    ("Patient?birthdate=1970-04", "b"),
    ("Patient?birthdate=1970-04-01", ""),
    ("Patient?birthdate=eq1970", "a b"),
    ("Patient?birthdate=ne1970", "c"),
    ("Patient?birthdate=ne1970-04-01", "a b c"),
    ("Patient?birthdate=gt1970-04-15", "b c"),
    ("Patient?birthdate=gt1970-04-30", "c"),
    ("Patient?birthdate=lt1970-04-15", "a b"),
    ("Patient?birthdate=lt1970-04-01", "a"),
    ("Patient?birthdate=ge1971", "c"),
    ("Patient?birthdate=ge1970-04-15", "b c"),
    ("Patient?birthdate=le1970-03-30", "a"),
    ("Patient?birthdate=le1970-04-15", "a b"),
    ("Patient?birthdate=sa1970-03-30", "b c"),
    ("Patient?birthdate=sa1970-04-15", "c"),
    ("Patient?birthdate=eb1970-04-01", "a"),
    ("Patient?birthdate=eb1970-05-01", "a b"),
    ("Patient?birthdate=1970-03-30,1971", "a c"),
    ("Patient?birthdate=gt1970-03-01&birthdate=lt1970-03-31", "a"),
    ("Patient?birthdate=gt1971&birthdate=lt1970", ""),
    ("Patient?birthdate=ap1975", "a b c"),
    ("Patient?birthdate=ap1950", ""),
]
EFFECTIVE = [
    ("Observation?date=2026-03-01", "at instant"),
    ("Observation?date=ne2026-03-01", "during from until events"),
    ("Observation?date=gt2026-03-01", "during from"),
    ("Observation?date=lt2026-03-01", "during until events"),
    ("Observation?date=ge2026-03-01", "at instant during from"),
    ("Observation?date=le2026-03-01", "at instant during until events"),
    ("Observation?date=sa2026-03-01", "from"),
    ("Observation?date=eb2026-03-01", "until events"),
    ("Observation?date=2026-03-01T09:00Z", "at instant"),
    ("Observation?date=2026-03-01T09:00:00Z", "at instant"),
    ("Observation?date=2026-03-01T10:00:00%2B01:00", "at instant"),
    ("Observation?date=2026-03-01T09:00:00.500Z", "instant"),
    ("Observation?date=2026-03-01T09:00:00.5Z", "instant"),
    ("Observation?date=gt2026-03-01T09:00:00Z", "during from"),
    ("Observation?date=gt2026-03-01T09:00:00.400Z", "at instant during from"),
    ("Observation?date=2026-02", ""),
    ("Observation?date=2026", "at during instant"),
    ("Observation?date=2025", "events"),
    ("Observation?date=2025-12-01", ""),
    ("Observation?date=ge2026-03-10", "during from"),
    ("Observation?date=eb2026-03-10", "at instant until events"),
    ("Observation?date=sa2026-02-28", "at instant from"),
    ("Observation?date=gt2025-12-02&date=lt2025-12-02", "until events"),
    ("Observation?date=sa9998", ""),
    ("Observation?date=gt9999", "from"),
    ("Observation?date=lt0001", "until"),
    ("Observation?date=9999-12-31T23:59:59.999999Z", ""),
]
LAST_UPDATED = [
    ("Patient?_lastUpdated=gt2001", "a b c d"),
    ("Patient?_lastUpdated=lt2001", ""),
    ("Patient?_lastUpdated=2001", ""),
    ("Patient?_lastUpdated=ne2001-01-01", "a b c d"),
    ("Patient?_lastUpdated=sa2001-01-01T00:00:00Z&_lastUpdated=le9999", "a b c d"),
    ("Patient?_lastUpdated=eb0001,ge2001", "a b c d"),
    ("Patient?_lastUpdated=eb9999-12-31", "a b c d"),
]


@pytest.mark.parametrize(("search", "expected"), BIRTHDATES + EFFECTIVE + LAST_UPDATED)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


async def test_last_updated_is_the_instant_the_resource_says(client: httpx.AsyncClient) -> None:
    instant = resource_of(await client.get("Patient/b"))["meta"]["lastUpdated"]
    for prefix in ("", "ge", "le", "ap"):
        found = resource_of(await client.get(f"Patient?_lastUpdated={prefix}{instant}"))
        assert "b" in ids_of(found), prefix
    for prefix in ("gt", "lt", "ne", "sa", "eb"):
        found = resource_of(await client.get(f"Patient?_lastUpdated={prefix}{instant}"))
        assert "b" not in ids_of(found), prefix


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Patient?birthdate=soon", "'soon'"),
        ("Patient?birthdate=1970-02-30", "'1970-02-30'"),
        ("Patient?birthdate=1970-13", "'1970-13'"),
        ("Patient?birthdate=xx1970", "'xx1970'"),
        ("Patient?birthdate=eq", "''"),
        ("Patient?birthdate=70", "'70'"),
        ("Patient?birthdate=eqeq1970", "'eq1970'"),
        ("Patient?birthdate=0000", "'0000'"),
        ("Patient?birthdate=10000", "'10000'"),
        ("Observation?date=2026-03-01T10:00:00+01:00", "'2026-03-01T10:00:00 01:00'"),
        ("Observation?date=2026-03-01T24:00Z", "2026-03-01T24:00Z"),
        ("Observation?date=2026-03-01T10", "2026-03-01T10"),
        ("Patient?_lastUpdated=yesterday", "'yesterday'"),
        ("Patient?birthdate:exact=1970", ":missing"),
        ("Patient?birthdate=1970|x", "'1970|x'"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)
