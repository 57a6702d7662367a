"""Searches by token and string against a plain reading of the same resources."""

import unicodedata
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers import ids_of, resource_of

SYSTEMS = (None, "urn:a", "urn:b", "http://x.example/s|1")
CODES = ("1", "2", "a", "A", "a,b", "a|b", "a$b", "a\\b", "é")
NAMES = (
    "Anna",
    "anna",
    "ANNÁ",
    "An na",
    "Ann",
    "Hannah",
    "Straße",
    "STRASSE",
    "O'Neil, Jr",
    "%_\\",
)
GENDERS = (None, "male", "female", "other")


def patients() -> list[dict[str, Any]]:
    """Thirty patients whose values meet in ever other combinations."""
    found = []
    for number in range(30):
        identifier = {"system": SYSTEMS[number % 4], "value": CODES[number % len(CODES)]}
        resource: dict[str, Any] = {
            "resourceType": "Patient",
            "id": f"m{number}",
            "identifier": [{name: value for name, value in identifier.items() if value}],
            "name": [
                {"family": NAMES[number % len(NAMES)], "given": [NAMES[number * 7 % len(NAMES)]]}
            ],
        }
        if gender := GENDERS[number * 3 % 4]:
            resource["gender"] = gender
        if number % 5 == 0:
            resource["identifier"].append({"value": "2"})
        found.append(resource)
    return found


PATIENTS = patients()


@pytest.fixture(scope="module", autouse=True)
async def stored(client: httpx.AsyncClient) -> None:
    for resource in PATIENTS:
        answer = await client.put(f"Patient/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text


def folded(text: str) -> str:
    """Without case, accents and surplus space (R4 search.html#string)."""
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(bare.casefold().split())


def escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


# A search value, and whether a resource has it.
Wanted = tuple[str, Any]


@st.composite
def identifiers(draw: st.DrawFn) -> Wanted:
    system = draw(st.sampled_from(["any", *SYSTEMS, "urn:c"]))
    code = draw(st.sampled_from(["", *CODES, "3"] if system not in ("any", None) else CODES))
    text = escaped(code) if system == "any" else f"{escaped(system or '')}|{escaped(code)}"

    def holds(resource: dict[str, Any]) -> bool:
        return any(
            (system == "any" or item.get("system") == system)
            and (not code or item.get("value") == code)
            for item in resource["identifier"]
        )

    return text, holds


@st.composite
def genders(draw: st.DrawFn) -> Wanted:
    gender = draw(st.sampled_from(["male", "female", "other", "unknown"]))
    return gender, lambda resource: resource.get("gender") == gender


def named(kind: str) -> st.SearchStrategy[Wanted]:
    def wanted(text: str) -> Wanted:
        def matches(value: str) -> bool:
            if kind == "exact":
                return value == text
            if kind == "contains":
                return folded(text) in folded(value)
            return folded(value).startswith(folded(text))

        def holds(resource: dict[str, Any]) -> bool:
            return matches(resource["name"][0]["family"])

        return escaped(text), holds

    parts = st.sampled_from([*NAMES, "an", "NN", "ss", "ß", "h", "%", "_", "\\", "zz", "á"])
    return parts.map(wanted)


@st.composite
def parameters(draw: st.DrawFn) -> tuple[str, Any]:
    """One parameter with its alternatives, and whether a resource satisfies it."""
    name, values = draw(
        st.sampled_from(
            [
                ("identifier", identifiers()),
                ("identifier:not", identifiers()),
                ("gender", genders()),
                ("gender:not", genders()),
                ("family", named("")),
                ("family:exact", named("exact")),
                ("family:contains", named("contains")),
            ]
        )
    )
    alternatives = draw(st.lists(values, min_size=1, max_size=3))

    def holds(resource: dict[str, Any]) -> bool:
        found = any(test(resource) for _, test in alternatives)
        return found != name.endswith(":not")

    text = ",".join(text for text, _ in alternatives)
    return f"{name}={quote(text, safe='')}", holds


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(wanted=st.lists(parameters(), min_size=1, max_size=3))
async def test_a_search_finds_what_reading_every_resource_finds(
    client: httpx.AsyncClient, wanted: list[tuple[str, Any]]
) -> None:
    query = "&".join(text for text, _ in wanted)
    expected = {
        resource["id"] for resource in PATIENTS if all(holds(resource) for _, holds in wanted)
    }
    bundle = resource_of(await client.get(f"Patient?_count=100&{query}"))
    assert ids_of(bundle) == expected
    assert bundle["total"] == len(expected)
