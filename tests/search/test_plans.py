"""How PostgreSQL carries out each step of a search: read from its plans, never from the clock.

A table large enough that a wrong plan would be taken where one is cheaper for small ones, and
statistics of all rows, gathered once: by those of a sample plans would differ by chance.
"""

import re
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import psycopg
import pytest

from fhir_server.search import execute
from fhir_server.search.conditions import Circumstances
from fhir_server.search.explain import explained
from fhir_server.search.keys import UNITS, hash64, key, token_any_system, unit_hash, unit_text
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.patient_dates import parameter
from fhir_server.search.query import parse
from fhir_server.search.settle import Settling
from fhir_server.search.statistics import Statistics
from fhir_server.storage.store import PLANNING

PARAMETERS = SearchParameters()
BASE = "http://test/fhir"
SCHEMA = '"tenant_default"'
PATIENTS = 2_000
OBSERVATIONS = 60_000

# The largest table has fewer rows than a target of 1,000 takes: 300 times that. One column has it.
WHOLE = """
alter table {table} set (autovacuum_enabled = false), alter column {column} set statistics 1000;
"""
TABLES = {
    "resource": "method",
    "date_value": "rid",
    "number_value": "rid",
    "string_value": "rid",
    "contained": "id",
}

FILL = """
insert into resource (rid, type, id, version, last_updated, method, reference_key, keys, targets,
                      content)
select n, 'Patient', 'p' || n, 1, '2026-01-01'::timestamptz + n * interval '1 second', 'PUT',
       1000000 + n, array[%(male)s * (n %% 2), 5000000 + n], '{}', '{"id": "x"}'
from generate_series(1, %(patients)s) n;
insert into resource (rid, type, id, version, last_updated, method, reference_key, keys, targets,
                      content)
select %(patients)s + n, 'Observation', 'o' || n, 1,
       '2026-02-01'::timestamptz + n * interval '1 second', 'PUT', 9000000 + n,
       array[case when n %% 9 = 0 then %(dense)s else n end,
             case when n %% 12000 = 0 then %(rare)s else -n end,
             %(subject)s # (1000000 + 1 + n %% %(patients)s), 7000000 + n %% 3000,
             case when n %% 400 = 0 then %(subject)s # %(charted)s else -7 * n end],
       array[1000000 + 1 + n %% %(patients)s],
       jsonb_build_object('id', 'o' || n, 'filler', repeat(md5(n::text), 20))
from generate_series(1, %(observations)s) n;
insert into date_value (rid, parameter, low, high)
select %(patients)s + n, %(date)s, n * 86400000000::bigint, (n + 1) * 86400000000::bigint
from generate_series(1, %(observations)s) n;
insert into date_value (rid, parameter, low, high)
select %(patients)s + n, %(chart)s, n * 86400000000::bigint, (n + 1) * 86400000000::bigint
from generate_series(400, %(observations)s, 400) n;
insert into number_value (rid, parameter, unit, low, high)
select %(patients)s + n, %(value)s, %(unit)s, n, n from generate_series(1, %(observations)s) n;
insert into number_value (rid, parameter, unit, low, high)
select n, %(probability)s, 0, n / 3000.0, n / 3000.0 + case when n %% 100 = 0 then 0.1 else 0 end
from generate_series(1, 3000) n;
insert into string_value (rid, parameter, value)
select n, %(family)s, 'name ' || n from generate_series(1, %(patients)s) n;
insert into contained (container, place, type, id, reference_key, keys, targets)
select %(patients)s + n, place, 'Patient', 'p' || place, -10 * n - place,
       array[%(male)s * (n %% 2), 8000000 + n], '{}'
from generate_series(3, %(observations)s, 3) n, generate_series(1, 2) place;
insert into contained (container, place, type, id, reference_key, keys, targets)
select %(patients)s + n, 3, 'Type' || n %% 20, 'other', -n, '{}', '{}'
from generate_series(3, %(observations)s, 30) n;
insert into string_value (rid, parameter, value)
select container, %(family)s # place, 'inner ' || container from contained where place < 3;
insert into vocabulary (parameter, value) values (%(units)s, 's' || chr(31) || 'c' || chr(31));
vacuum (analyze);
"""


def _hash(name: str) -> int:
    return PARAMETERS.get(*name.split("|")).hash  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def filled(database: str) -> str:
    values = {
        "patients": PATIENTS,
        "observations": OBSERVATIONS,
        "male": key("Patient|gender", token_any_system("male")),
        "dense": key("Observation|code", token_any_system("dense")),
        "rare": key("Observation|code", token_any_system("rare")),
        "subject": _hash("Observation|subject"),
        "date": _hash("Observation|date"),
        "charted": hash64("Patient/charted"),
        "chart": (parameter("Observation", "date") or 0) ^ hash64("Patient/charted"),
        "value": _hash("Observation|value-quantity"),
        "family": _hash("Patient|family"),
        "probability": _hash("RiskAssessment|probability"),
        "units": UNITS,
        "unit": unit_hash(unit_text("s", "c", None)),
    }
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("set search_path to tenant_default")
        for table, column in TABLES.items():
            connection.execute(WHOLE.format(table=table, column=column))
        statements = [part for part in FILL.split(";") if part.strip()]
        for statement in statements:
            connection.execute(statement, values if "%" in statement else None)
    return database


@pytest.fixture
async def at(filled: str) -> AsyncIterator[Settling]:
    async with await psycopg.AsyncConnection.connect(
        filled, autocommit=True, options=PLANNING
    ) as connection:
        yield Settling(connection, SCHEMA, None, Statistics(), steps=[])  # type: ignore[arg-type]


async def plans_of(at: Settling, search: str) -> dict[str, str]:
    """The plans of the steps that a search takes, by what they are for."""
    type_, _, query = search.partition("?")
    pairs = [tuple(item.split("=", 1)) for item in query.split("&") if item]
    asked = parse(PARAMETERS, type_, pairs, Circumstances(BASE, ZoneInfo("UTC")))  # type: ignore[arg-type]
    await execute.page(at, asked, size=20)
    return {step.step.what: step.plan for step in await explained(at)}


def indexes(plan: str) -> set[str]:
    """The indexes that a plan uses."""
    return set(re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", plan))


WALKS = [
    ("Observation?code=dense", {"resource_by_type", "resource_pkey"}),
    ("Patient?gender=male", {"resource_by_type", "resource_pkey"}),
    ("Observation?value-quantity=gt100||c", {"number_value_rid"}),
    ("Observation?date=ge1990&code=dense", {"date_value_rid"}),
    ("Observation?subject:Patient.gender=male", {"resource_reference_key"}),
    ("Patient?_has:Observation:subject:code=dense", {"resource_keys"}),
    ("Patient?gender=male&_contained=true", {"contained_container"}),
    ("Patient?family=inner&_contained=true", {"contained_container", "string_value_rid"}),
    ("Observation?code=dense&_sort=-date", {"date_value_ordered"}),
    ("Observation?code=dense&_sort=_lastUpdated", {"resource_by_type_time", "resource_by_time"}),
]


@pytest.mark.parametrize(("search", "used"), WALKS)
async def test_what_is_frequent_is_found_by_a_short_walk(
    at: Settling, search: str, used: set[str]
) -> None:
    plans = await plans_of(at, search)
    walks = [plans.pop(name) for name in list(plans) if name.startswith("walk of")]
    walk = walks[-1]
    assert plans.keys() <= {"units of the vocabulary", "ends of a chain"}
    assert used & indexes(walk), walk
    assert "Seq Scan" not in walk
    # What a walk reads comes in order from an index; sorting it would mean reading all of it.
    assert not re.search(r"^\s*(->\s+)?Sort ", walk, re.MULTILINE), walk


GATHERINGS = [
    ("Observation?code=rare", {"resource_keys"}),
    ("Observation?code=rare&date=ge1990", {"resource_keys", "date_value_rid"}),
    ("Observation?code=rare&_sort=date", {"resource_keys", "date_value_rid"}),
    ("Observation?subject=Patient/nobody", {"resource_keys"}),
    ("Observation?code=rare&subject:Patient.gender=male", {"resource_reference_key"}),
    ("Patient?identifier=nobody&_has:Observation:subject:code=dense", {"resource_keys"}),
    ("Observation?date=1999-05-05", {"date_value_ordered"}),
    ("Observation?date=gt2134-04-05", {"date_value_ordered", "date_value_long"}),
    ("Observation?date=gt2134-04-05&code=dense", {"date_value_ordered"}),
    ("Patient?family=name 77", {"string_value_ordered"}),
    ("Patient?family=inner 77&_contained=true", {"string_value_ordered", "contained_container"}),
    ("Patient?family=nobody&_contained=both", {"string_value_ordered", "contained_container"}),
    ("Patient?identifier=nobody&_contained=true", {"contained_keys"}),
    ("Patient?identifier=nobody&_contained=both", {"contained_keys", "resource_keys"}),
    ("RiskAssessment?probability=0.5", {"number_value_ordered"}),
    ("RiskAssessment?probability=gt0.5", {"number_value_ordered", "number_value_spread"}),
]


@pytest.mark.parametrize(("search", "used"), GATHERINGS)
async def test_what_is_rare_is_gathered_by_the_index_that_finds_it(
    at: Settling, search: str, used: set[str]
) -> None:
    plans = await plans_of(at, search)
    gathering = plans["gathering"]
    assert used <= indexes(gathering), gathering
    assert "Seq Scan" not in gathering
    # All resources of the type are not read to be intersected with a few.
    assert "BitmapAnd" not in gathering, gathering


async def test_the_many_ends_of_a_chain_are_looked_up_a_few_at_a_time(at: Settling) -> None:
    plans = await plans_of(at, "Observation?subject:Patient.family=name 1&date=lt1970-02-01")
    gathering = plans["gathering"]
    assert "Seq Scan" not in gathering
    loops = re.findall(r"Scan on resource_keys .*loops=(\d+)", gathering)
    # There are 1,111 patients whose names begin so.
    assert "23" in loops, gathering


async def test_what_is_known_to_be_frequent_is_walked_to_at_once(at: Settling) -> None:
    (name,) = await plans_of(at, "Observation?code=dense")
    assert name == f"walk of {execute.LONG_WALK} rows"


async def test_what_is_known_to_be_rare_is_gathered_at_once(at: Settling) -> None:
    assert list(await plans_of(at, "Observation?code=rare")) == ["gathering"]
    assert list(await plans_of(at, "Patient?_id=p1")) == ["gathering"]


async def test_what_has_one_value_is_gathered_at_once(at: Settling) -> None:
    assert list(await plans_of(at, "Observation?date=1999-05-05")) == ["gathering"]
    assert list(await plans_of(at, "RiskAssessment?probability=0.5")) == ["gathering"]


async def test_the_newest_of_a_patient_are_the_end_of_one_stretch_of_an_index(at: Settling) -> None:
    for sort in ("date", "-date"):
        plans = await plans_of(at, f"Observation?subject=Patient/charted&_sort={sort}")
        ((name, walk),) = plans.items()
        assert name == f"walk of {execute.LONG_WALK} rows"
        assert indexes(walk) == {"date_value_ordered", "date_value_rid", "resource_pkey"}
        assert not re.search(r"^\s*(->\s+)?Sort ", walk, re.MULTILINE), walk
        # No more of the patient's is read than the page has.
        assert max(map(int, re.findall(r"actual time=\S+ rows=(\d+)", walk))) == 21, walk


async def test_what_an_index_shows_to_be_few_is_not_walked_to(at: Settling) -> None:
    plans = await plans_of(at, "Patient?family=name 77")
    walk = plans[f"walk of {execute.SHORT_WALK} rows"]
    assert re.search(r"resource_by_type.*never executed", walk), walk
    plans = await plans_of(at, "Observation?date=ge2100-01-01&date=lt2100-02-01")
    walk = plans[f"walk of {execute.SHORT_WALK} rows"]
    assert "Seq Scan" not in walk
    assert "gathering" in plans


async def test_a_longer_walk_goes_on_where_the_short_one_ended(
    at: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "SHORT_WALK", 100)
    await plans_of(at, "Observation?date=ge1990&code=dense")
    assert at.steps is not None
    short, long = (step for step in at.steps if step.what.startswith("walk"))
    assert short.rows + long.rows == 21
    assert long.values[-1] == 21 - short.rows


async def test_the_few_ends_of_a_chain_are_looked_up_as_keys(at: Settling) -> None:
    plans = await plans_of(at, "Observation?subject:Patient.family=name 77")
    assert indexes(plans["ends of a chain"]) >= {"string_value_ordered"}
    assert indexes(plans["gathering"]) >= {"resource_keys"}


async def test_a_page_of_everything_reads_no_more_than_the_page(at: Settling) -> None:
    for search in ("Observation", "Observation?_sort=-_lastUpdated", "Observation?_sort=date"):
        (plan,) = (await plans_of(at, search)).values()
        rows = [int(found.split(".")[0]) for found in re.findall(r"rows=([\d.]+) loops", plan)]
        assert max(rows) <= 42, plan
