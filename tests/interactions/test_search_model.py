"""Searches of every kind against a plain reading of the same resources."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.search import statistics
from tests.answers import ids_of, resource_of
from tests.interactions import plain_search
from tests.interactions.plain_search import Asked
from tests.interactions.search_worlds import COUNTS, conditions, query, sorts, world
from tests.interactions.searching import Resource, in_order, put_all, steps

# Rows of the walks, matches gathered and ends of a chain; None for what the server has.
STEPS = st.sampled_from([None, (2, 5, 3, 0), (1, 2, 0, 1), (3, 3, 100, 2), (2, 100, 5, 100)])


@pytest.fixture(scope="module", params=[(1, False), (2, True), (3, True)])
async def stored(
    client: httpx.AsyncClient, database: str, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, Resource]]:
    """Worlds with the same ids, so that each replaces the one before it.

    PostgreSQL knows how common the keys of some are, which decides what a search tries first.
    """
    seed, known = request.param
    found = world(seed)
    await put_all(client, found.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_SECONDS", 0.0)
        if known:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("analyze")
        yield found


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[Asked], list[tuple[str, bool]]]:
    """A type, conditions, and what to sort by."""
    type_ = draw(st.sampled_from(sorted(COUNTS)))
    asked = draw(st.lists(conditions(type_), max_size=3))
    return type_, asked, draw(sorts(type_))


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(search=searches(), limits=STEPS, size=st.sampled_from([2, 3, 7, 100]))
async def test_a_search_finds_what_reading_every_resource_finds(
    client: httpx.AsyncClient,
    stored: dict[str, Resource],
    search: tuple[str, list[Asked], list[tuple[str, bool]]],
    limits: Any,
    size: int,
) -> None:
    type_, asked, rules = search
    found = plain_search.matches(stored, type_, asked)
    expected = plain_search.in_order(found, rules)
    url = f"{type_}?{query(type_, asked)}"
    sort = ",".join(f"{'-' if descending else ''}{code}" for code, descending in rules)
    with steps(*limits) if limits else nullcontext():
        bundle = resource_of(await client.get(f"{url}&_count=100"))
        assert sorted(ids_of(bundle)) == sorted(expected)
        assert bundle["total"] == len(expected)
        ordered = await in_order(
            client, f"{url}&_count={size}" + (f"&_sort={sort}" if sort else "")
        )
        assert ordered == expected
