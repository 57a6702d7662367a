"""`_explain`: how a search was understood, the plans of its steps and what each part costs."""

from dataclasses import replace
from typing import Any

from fhir_server.fhir_json import encode
from fhir_server.interactions.result import Result
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import execute
from fhir_server.search.describe import describe
from fhir_server.search.explain import Explained, explained
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling, settled
from fhir_server.search.sources import Position


async def explain(
    at: Settling, query: Query, size: int, *, after: Position | None, backwards: bool
) -> Result:
    """A Parameters resource about one page of a search, in place of the page."""
    watched = replace(at, steps=[])
    page = await execute.page(watched, query, size=size, after=after, backwards=backwards)
    found = await settled(query.types, query.condition, at)
    parameters: list[dict[str, Any]] = [
        {"name": "understood", "valueString": describe(query.condition)},
        {"name": "settled", "valueString": describe(found)},
        {"name": "matchesOnPage", "valueInteger": len(page.matches)},
        *[_step(step) for step in await explained(watched)],
    ]
    if query.applied:
        parts = [{"name": name, "valueString": value} for name, value in query.applied]
        parameters.insert(0, {"name": "applied", "part": parts})
    return Result(200, encode({"resourceType": "Parameters", "parameter": parameters}))


def wanted(value: str | None) -> bool:
    """Whether `_explain` asks for an explanation. Raises `Invalid`."""
    if value not in (None, "true", "false"):
        raise Invalid(Issue("value", f"_explain={value!r}: expected true or false"))
    return value == "true"


def _step(step: Explained) -> dict[str, Any]:
    return {
        "name": "step",
        "part": [
            {"name": "purpose", "valueString": step.step.what},
            {"name": "rows", "valueInteger": step.step.rows},
            {"name": "milliseconds", "valueDecimal": round(step.milliseconds, 3)},
            {"name": "sql", "valueString": step.shown},
            {"name": "plan", "valueString": step.plan},
        ],
    }
