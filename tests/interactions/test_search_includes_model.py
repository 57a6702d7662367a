"""Includes against a plain walk through the same graph of resources."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers import ids_of
from tests.interactions.includes import included, including_at_most, pages

Name: TypeAlias = str
# What each resource refers to, by type and id, in the order of creation.
Graph: TypeAlias = Mapping[Name, Mapping[str, Collection[Name]]]

TYPES = ("Organization", "Patient", "Observation")
BUDGETS = (1, 2, 5, 1000)


def graph() -> dict[Name, dict[str, list[Name]]]:
    """Organizations in trees, patients linked in rings, observations of panels of others."""
    found: dict[Name, dict[str, list[Name]]] = {}
    for number in range(12):
        patient, organization = f"Patient/p{number}", f"Organization/o{number}"
        found[organization] = {"partof": [f"Organization/o{number // 2}"] if number else []}
        found[patient] = {
            "organization": [f"Organization/o{number * 5 % 12}"] if number % 4 else [],
            "link": [f"Patient/p{(number + 3) % 12}"] if number % 2 else [],
        }
        subject = f"Patient/p{number * 7 % 12}" if number % 3 else "Group/missing"
        found[f"Observation/b{number}"] = {
            "subject": [subject],
            "patient": [subject] if subject.startswith("Patient") else [],
            "performer": [f"Organization/o{number}", f"Patient/p{number // 2}"],
            "has-member": [f"Observation/b{item}" for item in range(0, number, 4)],
        }
    return found


GRAPH = graph()


def resource(name: Name) -> dict[str, Any]:
    """The resource of a node."""
    type_, _, id_ = name.partition("/")
    links = {
        code: [{"reference": target} for target in targets] for code, targets in GRAPH[name].items()
    }
    found: dict[str, Any] = {"resourceType": type_, "id": id_}
    if type_ == "Organization":
        found |= {"name": id_, "partOf": next(iter(links["partof"]), None)}
    elif type_ == "Patient":
        found["managingOrganization"] = next(iter(links["organization"]), None)
        found["link"] = [{"other": item, "type": "seealso"} for item in links["link"]]
    else:
        found |= {"status": "final", "code": {"text": "x"}, "subject": links["subject"][0]}
        found |= {"performer": links["performer"], "hasMember": links["has-member"]}
    return {key: value for key, value in found.items() if value}


@pytest.fixture(scope="module")
async def clients(
    client: httpx.AsyncClient, database: str
) -> AsyncIterator[dict[int, httpx.AsyncClient]]:
    """Servers whose pages include so many resources at most, all on the graph."""
    for name in GRAPH:
        assert (await client.put(name, json=resource(name))).status_code == 201
    async with AsyncExitStack() as stack:
        yield {
            most: await stack.enter_async_context(including_at_most(most, database))
            for most in BUDGETS
        }


@st.composite
def rules(draw: st.DrawFn, type_: str) -> list[tuple[str, str]]:
    """Includes that a search of a type may have."""
    codes = {
        item: sorted({code for name in GRAPH if name.startswith(item) for code in GRAPH[name]})
        for item in TYPES
    }
    found = []
    for _ in range(draw(st.integers(1, 3))):
        iterate = draw(st.booleans())
        kind = draw(st.sampled_from(["_include", "_revinclude"]))
        source = draw(st.sampled_from(TYPES if iterate or kind == "_revinclude" else (type_,)))
        value = f"{source}:{draw(st.sampled_from([*codes[source], '*']))}"
        target = draw(st.sampled_from(["", *TYPES]))
        value = draw(st.sampled_from([f"{value}:{target}" if target else value, "*"]))
        found.append((kind + (":iterate" if iterate else ""), value))
    return found


def step(name: Name, rule: tuple[str, str]) -> set[Name]:
    """What a rule finds from one resource."""
    kind, value = rule
    source, code, target, *_ = [*value.split(":"), ""] if value != "*" else ("", "*", "")
    links = {
        (owner, item)
        for owner, references in GRAPH.items()
        for own, targets in references.items()
        for item in targets
        if owner.startswith(source) and code in ("*", own) and item.startswith(target)
    }
    if kind.startswith("_revinclude"):
        return {owner for owner, item in links if item == name}
    return {item for owner, item in links if owner == name} & set(GRAPH)


def walk(matches: set[Name], includes: list[tuple[str, str]]) -> set[Name]:
    """All that comes along with matches."""
    found: set[Name] = set()
    edge, first = matches, True
    while edge:
        new = {
            item
            for name in edge
            for rule in includes
            if first or rule[0].endswith(":iterate")
            for item in step(name, rule)
        }
        edge = new - found - matches
        found |= edge
        first = False
    return found


@given(st.data())
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_pages_include_what_a_plain_walk_finds(
    clients: dict[int, httpx.AsyncClient], data: st.DataObject
) -> None:
    type_ = data.draw(st.sampled_from(TYPES))
    includes = data.draw(rules(type_))
    most = data.draw(st.sampled_from(BUDGETS))
    count = data.draw(st.sampled_from([1, 3, 20]))
    ids = data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=6))
    letter = {"Organization": "o", "Patient": "p", "Observation": "b"}[type_]
    query = "&".join(f"{name}={value}" for name, value in includes)
    search = f"{type_}?_id={','.join(f'{letter}{item}' for item in ids)}&_count={count}&{query}"
    answer = await clients[most].get(search)
    if answer.status_code == 400:
        # Only what can never find anything is refused.
        owners = [name for name in GRAPH if name.startswith(type_)]
        assert any(not any(step(name, rule) for name in owners) for rule in includes)
        return
    shown: list[tuple[set[Name], list[Name]]] = []
    for page in await pages(clients[most], search):
        assert len(included(page)) <= most
        if ids_of(page):
            shown.append(({f"{type_}/{item}" for item in ids_of(page)}, []))
        shown[-1][1].extend(included(page))
    order = list(GRAPH)
    assert set().union(*(matches for matches, _ in shown)) == {
        f"{type_}/{letter}{item}" for item in ids
    }
    for matches, along in shown:
        assert along == sorted(walk(matches, includes), key=order.index)
