"""A parameter of one's own that all types share: what it finds and sorts (R4 http.html#search)."""

import httpx
import pytest

from tests.indexing.workers import parameter, until_complete
from tests.interactions.searching import finds, in_order, patient, put_all, resource

pytestmark = pytest.mark.usefixtures("every_step")

RESOURCES = (
    patient("p1", implicitRules="urn:3"),
    resource("Person", "q1", implicitRules="urn:2"),
    patient("p2", implicitRules="urn:1"),
    patient("p3"),
    resource("Person", "q2"),
)
RULES = parameter("rules", "Resource.implicitRules", "string", base=["Resource"])


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)
    answer = await client.put("SearchParameter/rules", json=RULES | {"id": "rules"})
    assert answer.status_code == 201, answer.text
    await until_complete(client)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("?rules=urn", "p1 p2 q1"),
        ("?rules=urn:2", "q1"),
        ("?_type=Patient&rules=urn", "p1 p2"),
        ("Patient?rules=urn", "p1 p2"),
        ("?_type=Patient,Person&rules:missing=true", "p3 q2"),
        ("Person?rules:missing=true", "q2"),
    ],
)
async def test_it_is_searched_by_in_all_types_and_in_each(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("?_type=Patient&_sort=rules", "p2 p1 p3"),
        ("?_type=Patient&_sort=-rules", "p1 p2 p3"),
        ("?_type=Person&_sort=rules", "q1 q2"),
        ("?_type=Patient,Person&_sort=rules", "p2 q1 p1 p3 q2"),
        ("?_type=Patient&rules:missing=false&_sort=rules", "p2 p1"),
        ("Patient?_sort=rules", "p2 p1 p3"),
    ],
)
async def test_it_sorts_the_types_that_are_meant(
    client: httpx.AsyncClient, search: str, expected: str, size: int
) -> None:
    assert await in_order(client, f"{search}&_count={size}") == expected.split()
