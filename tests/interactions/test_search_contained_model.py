"""Searches of what is contained against a plain reading of the same resources."""

import copy
from contextlib import nullcontext
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers import link_of, resource_of, resources_of
from tests.interactions import plain_search
from tests.interactions.plain_search import NAME, TARGETS, Asked, name_of
from tests.interactions.search_worlds import COUNTS, conditions, query, world
from tests.interactions.searching import Resource, containing, put_all, reference, steps
from tests.interactions.test_search_model import STEPS

# The element of each reference parameter, and whether it repeats.
ELEMENTS = {
    ("Patient", "organization"): ("managingOrganization", False),
    ("Patient", "general-practitioner"): ("generalPractitioner", True),
    ("Organization", "partof"): ("partOf", False),
    ("Observation", "subject"): ("subject", False),
    ("Observation", "has-member"): ("hasMember", True),
    ("RiskAssessment", "subject"): ("subject", False),
}


def filled(seed: int) -> dict[str, Resource]:
    """A world in which resources contain copies of others, and refer to them."""
    random = Random(seed)
    found, others = world(seed), list(world(seed).values())
    for body in found.values():
        copies = copy.deepcopy(random.sample(others, random.choice([0, 0, 1, 2, 3])))
        inside = [item | {"id": f"c{place}"} for place, item in enumerate(copies)]
        for item in [body, *inside]:
            link(random, item, body, inside)
        body.update(containing(body, *inside))
    return found


def link(random: Random, item: Resource, container: Resource, inside: list[Resource]) -> None:
    """Let some references lead to the container or to what it contains."""
    places = {"#": container} if item is not container else {}
    places |= {f"#{other['id']}": other for other in inside if other is not item}
    for (type_, code), targets in TARGETS.items():
        fit = [text for text, other in places.items() if other["resourceType"] in targets]
        if type_ == item["resourceType"] and fit and random.random() < 0.7:
            element, many = ELEMENTS[type_, code]
            found = reference(random.choice(fit))
            item[element] = [*item.get(element, ()), found] if many else found


@pytest.fixture(scope="module", params=[4, 5, 6])
async def stored(client: httpx.AsyncClient, request: pytest.FixtureRequest) -> dict[str, Resource]:
    """Worlds with the same ids, so that each replaces the one before it."""
    found = filled(request.param)
    await put_all(client, found.values())
    return found


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[Asked]]:
    """A type and conditions."""
    type_ = draw(st.sampled_from(sorted(COUNTS)))
    return type_, draw(st.lists(conditions(type_), max_size=3))


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    search=searches(),
    contained=st.sampled_from(["false", "true", "both"]),
    limits=STEPS,
    size=st.sampled_from([2, 7, 100]),
)
async def test_a_search_of_what_is_contained_finds_what_reading_everything_finds(
    client: httpx.AsyncClient,
    stored: dict[str, Resource],
    search: tuple[str, list[Asked]],
    contained: str,
    limits: Any,
    size: int,
) -> None:
    type_, asked = search
    found = plain_search.matches(plain_search.unpacked(stored), type_, asked)
    real = {name_of(item) for item in found if NAME not in item}
    containers = {item[NAME].split("#")[0] for item in found if NAME in item}
    expected = {"false": real, "true": containers, "both": real | containers}[contained]
    url = f"{type_}?{query(type_, asked)}&_contained={contained}"
    with steps(*limits) if limits else nullcontext():
        bundle = resource_of(await client.get(f"{url}&_count=0"))
        assert bundle["total"] == len(expected)
        ordered = await names_in_order(client, f"{url}&_count={size}")
        assert ordered == [name for name in reversed(stored) if name in expected]


async def names_in_order(client: httpx.AsyncClient, search: str) -> list[str]:
    """`Type/id` of all pages of a search, in the order they came."""
    found: list[str] = []
    url: str | None = search
    while url:
        bundle = resource_of(await client.get(url))
        found += map(name_of, resources_of(bundle))
        url = link_of(bundle, "next")
    return found
