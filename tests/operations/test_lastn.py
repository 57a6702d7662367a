"""Observation/$lastn."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search import latest
from tests.answers import refusal_of
from tests.interactions.searching import coded, observation, patient, put_all, reference
from tests.operations.calling import Json, answered, parameters

LAB = [{"coding": [{"code": "laboratory"}]}]


def measured(id_: str, code: Json, when: str | None, **more: Any) -> Json:
    times = {"effectiveDateTime": when} if when else {}
    body = {"code": code, "subject": reference("Patient/p"), "category": LAB}
    return observation(id_, **{**body, **times, **more})


A, B, AB = coded("s|a"), coded("s|b"), coded("s|a", "s|b")
STORED = [
    patient("p"),
    patient("q"),
    measured("a1", A, "2020-01-01"),
    measured("a2", coded("s|a|Shown"), "2020-01-02"),
    measured("a3", A, "2020-01-03"),
    measured("a3-too", A, "2020-01-03"),
    measured("c1", coded("s|c"), "2019"),
    measured("c2", coded("t|c"), "2018"),
    measured("late", A, "2021-01-01", subject=reference("Patient/q")),
    measured("vital", A, "2022-01-01", category=[{"coding": [{"code": "vital-signs"}]}]),
    measured("text", {"text": "Mood"}, "2017"),
    measured("text2", {"text": "mood"}, "2016"),
    measured("undated", coded("s|u"), None),
    measured("undated2", coded("s|u"), None),
]


@pytest.fixture(scope="module", autouse=True)
async def _stored(client: httpx.AsyncClient) -> None:
    await put_all(client, STORED)


async def found(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.get(f"Observation/$lastn?{query}")
    bundle = answered("Observation-lastn", answer)
    listed = [entry["resource"]["id"] for entry in bundle.get("entry", ())]
    assert bundle["total"] == len(listed)
    return listed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=a", ["a3-too", "a3"]),
        ("code=a&max=3", ["a3-too", "a3", "a2"]),
        ("code=a&max=100", ["a3-too", "a3", "a2", "a1"]),
        ("code=a&date=le2020-01-02", ["a2"]),
        ("code=a&date=le2000", []),
        ("category=laboratory", ["a3-too", "a3", "c1", "c2", "text", "text2", "undated2"]),
        ("category=laboratory&code:not=s|a&max=2",
         ["c1", "c2", "text", "text2", "undated2", "undated"]),
    ],
)  # fmt: skip
async def test_the_last_of_each_code_are_found(
    client: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    assert await found(client, f"patient=p&category=laboratory&{query}") == expected


async def test_each_subject_has_last_observations(client: httpx.AsyncClient) -> None:
    listed = await found(client, "subject=Patient/p,Patient/q&code=a&category=laboratory")
    assert listed == ["late", "a3-too", "a3"]


async def test_codes_that_a_third_one_joins_are_one(client: httpx.AsyncClient) -> None:
    owner = reference("Patient/t")
    await put_all(client, [patient("t"), measured("ta", A, "2020", subject=owner),
                           measured("tb", B, "2021", subject=owner)])  # fmt: skip
    query = "patient=t&category=laboratory"
    assert await found(client, query) == ["tb", "ta"]
    await put_all(client, [measured("tab", AB, "2019", subject=owner)])
    assert await found(client, query) == ["tb"]
    assert await found(client, f"{query}&max=2") == ["tb", "ta"]


async def test_a_call_by_post_takes_search_parameters_as_strings(
    client: httpx.AsyncClient,
) -> None:
    body = parameters(
        {"name": "max", "valuePositiveInt": 1},
        {"name": "patient", "valueString": "p"},
        {"name": "code", "valueString": "s|c"},
    )
    bundle = answered("Observation-lastn", await client.post("Observation/$lastn", json=body))
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == ["c1"]


@pytest.mark.parametrize(
    ("query", "code", "told"),
    [
        ("code=a", "required", "patient or subject"),
        ("patient=p", "required", "category"),
        ("patient=p&code=a&max=0", "value", "max"),
        ("patient=p&code=a&max=x", "value", "max=x"),
        ("patient=p&code=a&_sort=date", "not-supported", "_sort"),
        ("patient=p&code=a&_include=*", "not-supported", "_include"),
        ("patient=p&code=a&cod=a", "not-supported", "'cod'"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.AsyncClient, query: str, code: str, told: str
) -> None:
    answer = await client.get(f"Observation/$lastn?{query}")
    assert told in refusal_of(answer, 400, code)


async def test_too_many_are_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest, "MOST_CANDIDATES", 2)
    answer = await client.get("Observation/$lastn?patient=p&category=laboratory&max=9")
    refusal_of(answer, 422, "too-costly")


_CODINGS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=3)
_OBSERVATIONS = st.lists(st.tuples(_CODINGS, st.integers(1, 4)), max_size=12)


@given(_OBSERVATIONS, st.integers(1, 3))
def test_ranking_each_spelling_first_loses_nothing(
    observations: list[tuple[list[str], int]], most: int
) -> None:
    """The database ranks codes as they are written; groups are made of what it gives."""
    ordered = [
        latest._Candidate((rid, 1), "p", coded(*(f"s|{code}" for code in codings)), time)
        for rid, (codings, time) in enumerate(observations)
    ]
    ordered.sort(key=lambda each: (-(each.at or 0), -each.place[0]))
    ranked = [
        each
        for each in ordered
        if sum(o.code == each.code and (o.at or 0) > (each.at or 0) for o in ordered) < most
    ]
    assert latest._last_of_groups(ranked, most) == latest._last_of_groups(ordered, most)
