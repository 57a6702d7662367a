"""Searches among the official examples: each parameter finds those it must, and no others.

For each search parameter of R4 one query is made from an example that has a value, which must find
that example, and one that must not. Which examples a query finds is told by reading them plainly.
"""

import asyncio
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from fhir_server.fhir_json import decode
from fhir_server.search.parameters import ANY_TYPE, COLUMNS, SearchParameter
from fhir_server.spec import definitions
from tests.conformance.example_values import (
    PARAMETERS,
    Asked,
    Value,
    asked,
    elsewhere,
    meets,
    values,
)
from tests.conformance.examples import invalid_examples
from tests.conformance.score import Score

WITHOUT_EXAMPLE = Path(__file__).with_name("parameters_without_example.toml")
_AT_A_TIME = 8

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A search by one parameter.

    given: the example that it was made from. finds: whether it must find that one.
    expected: the ids of all it must find.
    """

    parameter: str
    query: str
    given: str
    finds: bool
    expected: frozenset[str]


def run(base_url: str, package: Path, since: datetime) -> list[Score]:
    """Search the server for the examples that it was given since a moment."""
    started = time.monotonic()
    cases, without = prepared(stored_examples(package))
    told = asyncio.run(_searched(base_url, cases, since))
    names = list(dict.fromkeys(case.parameter for case in cases))
    failed = {text.partition(":")[0] for text in told}
    listed = set(tomllib.loads(WITHOUT_EXAMPLE.read_text())["parameters"])
    strange = [f"{name}: no example has a value, and it is not listed" for name in without - listed]
    strange += [f"{name}: is listed, and an example has a value" for name in listed - without]
    return [
        Score(
            "searches of official examples",
            len(names),
            len(names) - len(failed),
            sorted(told),
            time.monotonic() - started,
        ),
        Score(
            "search parameters without an example",
            len(listed),
            len(listed & without),
            sorted(strange),
        ),
    ]


def stored_examples(package: Path) -> dict[str, list[Resource]]:
    """The valid examples by type."""
    refused = {name for item in invalid_examples() for name in item.names}
    found: dict[str, list[Resource]] = {}
    for path in sorted(package.glob("*.json")):
        if path.stem != "package" and path.stem not in refused:
            resource = decode(path.read_bytes())
            found.setdefault(resource["resourceType"], []).append(resource)
    return found


def prepared(examples: dict[str, list[Resource]]) -> tuple[list[Case], set[str]]:
    """The searches, and the parameters of which no example has a value."""
    cases: list[Case] = []
    without: set[str] = set()
    for parameter in _parameters():
        among = examples.get(parameter.resource_type, [])
        if parameter.resource_type == ANY_TYPE:
            among = [item for items in examples.values() for item in items]
        pair = list(_cases(parameter, among))
        cases += pair
        if not pair:
            without.add(_name(parameter))
    return cases, without


def _parameters() -> Iterator[SearchParameter]:
    """Each parameter of each type; those of all types once."""
    shared = {parameter.code for parameter in PARAMETERS.of(ANY_TYPE)}
    types = sorted(definitions().resource_types)
    for type_ in [ANY_TYPE, *types]:
        for parameter in PARAMETERS.of(type_):
            own = type_ == ANY_TYPE or parameter.code not in shared
            if own and parameter.definition.expression and parameter.code not in COLUMNS:
                yield parameter


def _name(parameter: SearchParameter) -> str:
    return f"{parameter.resource_type}.{parameter.code}"


def _cases(parameter: SearchParameter, among: Iterable[Resource]) -> Iterator[Case]:
    """A query that finds an example that has a value, and one that does not."""
    kinds = [parameter.type]
    if parameter.type == "composite":
        kinds = [component.type for component in PARAMETERS.components(parameter)]
    found = {_place(item): values(parameter, item) for item in among}
    having = [(place, value) for place, stored in found.items() for value in stored]
    if not having:
        return
    given, value = having[len(having) // 2]
    place = "" if parameter.resource_type == ANY_TYPE else parameter.resource_type
    other = _other(kinds, having, found[given])
    for sought, finds in ((asked(kinds, value), True), (other, False)):
        expected = frozenset(
            name
            for name, stored in found.items()
            if any(meets(kinds, item, sought) for item in stored)
        )
        assert (given in expected) is finds, (parameter.name, given, sought)
        query = f"{place}?{parameter.code}={quote(sought.text, safe='')}"
        yield Case(_name(parameter), query, given, finds, expected)


def _other(kinds: list[str], having: list[tuple[str, Value]], own: list[Value]) -> Asked:
    """A value of another example, or of none, that does not find the given one."""
    for _, value in having[:200]:
        other = asked(kinds, value)
        if not any(meets(kinds, item, other) for item in own):
            return other
    return elsewhere(kinds)


def _place(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def wrong(client: httpx.AsyncClient, cases: Iterable[Case], since: datetime) -> list[str]:
    """What is wrong with a server's answers."""
    told: list[str] = []
    waiting = iter(cases)
    moment = quote(since.isoformat(timespec="milliseconds"), safe="")

    async def take() -> None:
        for case in waiting:
            query = f"{case.query}&_lastUpdated=ge{moment}&_elements=id&_count=1000"
            if complaint := _complaint(case, await _found(client, query)):
                told.append(f"{case.parameter}: {case.query}: {complaint}")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_A_TIME):
            tasks.create_task(take())
    return told


async def _found(client: httpx.AsyncClient, url: str | None) -> set[str] | str:
    """`Type/id` of what a search finds on all pages; what was told if it is refused."""
    found: set[str] = set()
    while url:
        answer = await client.get(url)
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text[:300]}"
        bundle = answer.json()
        found |= {_place(entry["resource"]) for entry in bundle.get("entry", ())}
        url = {link["relation"]: link["url"] for link in bundle["link"]}.get("next")
    return found


def _complaint(case: Case, found: set[str] | str) -> str:
    if isinstance(found, str):
        return found
    missing, extra = sorted(case.expected - found), sorted(found - case.expected)
    parts = [f"misses {missing[:5]}"] if missing else []
    return ", ".join([*parts, f"has {extra[:5]}"] if extra else parts)


async def _searched(base_url: str, cases: list[Case], since: datetime) -> list[str]:
    async with httpx.AsyncClient(base_url=f"{base_url}/", timeout=60) as client:
        return await wrong(client, cases, since)
