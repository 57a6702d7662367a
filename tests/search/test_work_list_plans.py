"""ORD-7: every work list is one indexed plan, read as PostgreSQL carries it out.

The orders of a year as they are extracted from Tasks. Few of them are open.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from fhir_server.fhir_json import encode
from fhir_server.indexing.definition import facts
from fhir_server.packaged import folder
from fhir_server.provisioning.files import read_provided
from fhir_server.search import execute
from fhir_server.search.conditions import Circumstances
from fhir_server.search.explain import explained
from fhir_server.search.extract import Extractor
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.query import parse
from fhir_server.search.settle import Settling
from fhir_server.search.statistics import Statistics
from fhir_server.spec import definitions
from fhir_server.storage import resources
from fhir_server.storage.resources import Written
from fhir_server.storage.statements import statements_for
from fhir_server.storage.store import PLANNING
from tests.search.test_plans import indexes
from tests.search.work_lists import WORK_LISTS

BASE = "http://test/fhir"
SYSTEM = "https://fhir-server.example/r4"
UTC_ZONE = ZoneInfo("UTC")
PARAMETERS = SearchParameters(
    extra=[
        facts(each.resource, definitions())
        for each in read_provided([folder("profiles")])
        if each.resource["resourceType"] == "SearchParameter"
    ]
)
TASKS = 20_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
PRIORITIES = ("routine", "routine", "urgent", "asap", "routine", "stat")
MODALITIES = ("CT", "MRI", "US", "XRAY")


def state_of(number: int) -> str:
    """Some twenty are ordered, scheduled and completed; all others are reported."""
    return {1: "ordered", 2: "scheduled", 3: "completed"}.get(number % 1000, "reported")


def task(number: int, state: str) -> dict[str, Any]:
    at = FIRST + timedelta(minutes=25 * number)
    start = at + timedelta(days=2)
    if state == "scheduled":
        start = datetime(2026, 11, 23, 8, tzinfo=UTC) + timedelta(minutes=number // 100)
    return {
        "resourceType": "Task",
        "id": f"t{number}",
        "extension": [
            {
                "url": f"{SYSTEM}/StructureDefinition/order-type",
                "valueCoding": {
                    "system": f"{SYSTEM}/CodeSystem/order-type",
                    "code": "imaging" if number % 3 else "procedure",
                },
            },
            {
                "url": f"{SYSTEM}/StructureDefinition/order-modality",
                "valueCoding": {
                    "system": f"{SYSTEM}/CodeSystem/modality",
                    "code": MODALITIES[number // 1000 % 4],
                },
            },
        ],
        "status": "requested",
        "businessStatus": {
            "coding": [{"system": f"{SYSTEM}/CodeSystem/order-status", "code": state}]
        },
        "intent": "order",
        "priority": PRIORITIES[number % 6],
        "focus": {"reference": f"ServiceRequest/t{number}"},
        "for": {"reference": f"Patient/p{number % 900}"},
        "authoredOn": at.isoformat(),
        "restriction": {"period": {"start": start.isoformat()}},
        "owner": {"reference": "Practitioner/tech"},
        "location": {"reference": f"Location/ct{number // 1000 % 5}"},
    }


def row(rid: int, resource: dict[str, Any], extractor: Extractor) -> Written:
    identity = f"Task/{resource['id']}"
    values = extractor.extract(resource)
    key = hash64_uncached(identity)
    content = encode(resource)
    return Written(rid, "Task", resource["id"], 1, FIRST, "PUT", content, key, values)


async def fill(database: str, states: list[str]) -> None:
    extractor = Extractor(PARAMETERS, base_url=BASE, zone=UTC_ZONE)
    rows = [row(n + 1, task(n, state), extractor) for n, state in enumerate(states)]
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await resources.create_many(connection, statements_for("default"), rows)
        await connection.commit()
        await connection.set_autocommit(True)
        await connection.execute("analyze")


@pytest.fixture(scope="module")
async def filled(database: str) -> str:
    await fill(database, [state_of(number) for number in range(TASKS)])
    return database


async def plans_of(database: str, search: str) -> tuple[dict[str, str], int]:
    """The plans of the steps of a work list by what they are for, and how many it finds."""
    type_, _, query = search.partition("?")
    pairs = [tuple(item.split("=", 1)) for item in query.split("&") if "_include" not in item]
    asked = parse(PARAMETERS, type_, pairs, Circumstances(BASE, UTC_ZONE))  # type: ignore[arg-type]
    async with await psycopg.AsyncConnection.connect(
        database, autocommit=True, options=PLANNING
    ) as connection:
        schema = '"tenant_default"'
        at = Settling(connection, schema, None, Statistics(), steps=[])  # type: ignore[arg-type]
        page = await execute.page(at, asked, size=20)
        return {step.step.what: step.plan for step in await explained(at)}, len(page.matches)


def rows_read(plan: str) -> float:
    """The most rows that a part of a plan gave."""
    return max(float(found) for found in re.findall(r"rows=([\d.]+) loops", plan))


@pytest.mark.parametrize("name", WORK_LISTS)
async def test_a_work_list_is_gathered_by_one_plan_from_an_index(filled: str, name: str) -> None:
    plans, found = await plans_of(filled, WORK_LISTS[name])
    assert found > 0
    assert list(plans) == ["gathering"]
    plan = plans["gathering"]
    assert "Seq Scan" not in plan
    assert indexes(plan) & {"resource_keys", "date_value_ordered"}, plan
    assert rows_read(plan) <= 100, plan
