"""`_explain`: how a search was understood and carried out."""

import httpx
import pytest

from fhir_server.search.execute import SHORT_WALK
from tests.answers import refusal_of, resource_of


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    for number in range(3):
        body = {"resourceType": "Patient", "id": f"p{number}", "gender": "female"}
        assert (await client.put(f"Patient/p{number}", json=body)).status_code == 201


async def test_a_search_tells_its_steps_with_sql_plan_and_cost(client: httpx.AsyncClient) -> None:
    answer = resource_of(
        await client.get("Patient?gender=female&name:missing=true&_explain=true&_count=2")
    )
    assert answer["resourceType"] == "Parameters"
    found = {item["name"]: item for item in answer["parameter"]}
    assert [part["name"] for part in found["applied"]["part"]] == ["gender", "name:missing"]
    assert found["understood"]["valueString"] == "has the key looked for and has no value of name"
    assert (
        "has one of" in found["settled"]["valueString"] or "key" in found["settled"]["valueString"]
    )
    assert found["matchesOnPage"]["valueInteger"] == 2
    steps = [item for item in answer["parameter"] if item["name"] == "step"]
    parts = [{part["name"]: part for part in step["part"]} for step in steps]
    assert [part["purpose"]["valueString"] for part in parts] == [
        "sets of parameters with values",
        f"walk of {SHORT_WALK} rows",
    ]
    for part in parts:
        assert part["sql"]["valueString"].startswith("select ")
        assert "%s" not in part["sql"]["valueString"]
        assert "actual time" in part["plan"]["valueString"]
        assert part["milliseconds"]["valueDecimal"] > 0


async def test_explaining_is_asked_for_by_true_or_false(client: httpx.AsyncClient) -> None:
    assert resource_of(await client.get("Patient?_explain=false"))["resourceType"] == "Bundle"
    assert "true or false" in refusal_of(await client.get("Patient?_explain=yes"), 400, "value")
