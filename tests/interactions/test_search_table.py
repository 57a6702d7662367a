"""The table of docs/search.md: complete, as it is printed, and each row true."""

from pathlib import Path

import httpx
import pytest

from fhir_server.search.parameters import SearchParameters
from fhir_server.search.predicates import supported
from tests.answers import resource_of
from tests.interactions.search_table import RESOURCES, TABLE, Row, markdown

DOCUMENT = Path(__file__).parents[2] / "docs" / "search.md"
# Ways to search that are no parameters of a type.
_BEYOND = {"_type", "_list", "_has", "_contained", "chain", "compartment"}


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    for body in RESOURCES:
        answer = await client.put(f"{body['resourceType']}/{body['id']}", json=body)
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.kind} {row.form}".strip())
async def test_each_row_finds_exactly_what_it_says(client: httpx.AsyncClient, row: Row) -> None:
    bundle = resource_of(await client.get(row.search))
    found = sorted(entry["resource"]["id"] for entry in bundle.get("entry", ()))
    assert found == sorted(row.found.split())


def test_the_table_has_every_kind_and_modifier_that_there_is() -> None:
    parameters = SearchParameters()
    there = set()
    for type_ in parameters.types:
        for parameter in parameters.of(type_):
            own = parameter.code.startswith("_") or parameter.type == "special"
            kind = parameter.code if own and parameter.code in _OWN_ROWS else parameter.type
            there |= {(kind, modifier) for modifier in supported(parameter)}
    rows = {(row.kind, row.form) for row in TABLE if row.kind not in _BEYOND}
    prefixes = {row for row in rows if "`" in row[1] or row[1] == "other unit"}
    assert rows - prefixes == there


_OWN_ROWS = {"_id", "_lastUpdated", "_filter", "_text", "_content", "near"}


def test_the_document_has_the_table() -> None:
    assert markdown() in DOCUMENT.read_text(encoding="utf-8")
