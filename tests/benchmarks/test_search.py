"""Every measured search against the real server: a figure of wrong answers would say nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from benchmarks.client import Response
from benchmarks.hospital.facts import LEAST_SIZE, Hospital
from benchmarks.population import Refused, fill
from benchmarks.probe import judged, probe
from benchmarks.queries import FAMILIES, PAGE, Family, Query, families, reads, search
from benchmarks.search import NoHospital, hospital_of, measure, unexpected
from tests.conftest import RunningServer, running_server


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server that holds a hospital of the least size."""
    directory = tmp_path_factory.mktemp("search")
    directory.chmod(0o755)
    with running_server(directory, "--data-dir", str(directory)) as running:
        running.wait_until_ready()
        with pytest.raises(NoHospital):
            await hospital_of(running.base_url, 0)
        assert await fill(running.base_url, Hospital(LEAST_SIZE), 4, quiet=True) == LEAST_SIZE
        yield running


async def test_hospital_that_is_there_is_not_sent_again(server: RunningServer) -> None:
    assert await fill(server.base_url, Hospital(LEAST_SIZE), 4, quiet=True) == 0


async def test_hospital_of_another_size_is_refused(server: RunningServer) -> None:
    with pytest.raises(Refused, match="another size"):
        await fill(server.base_url, Hospital(LEAST_SIZE + 1), 4, quiet=True)


async def test_server_tells_which_hospital_it_holds(server: RunningServer) -> None:
    assert (await hospital_of(server.base_url, 0)).size == LEAST_SIZE
    with pytest.raises(NoHospital, match="404"):
        await hospital_of(server.base_url, 5)


@pytest.mark.parametrize("name", list(FAMILIES))
async def test_family_finds_what_it_must(name: str, server: RunningServer) -> None:
    for family in families(Hospital(LEAST_SIZE), [name]):
        wrong = await probe(server.base_url, family, totals=True)
        assert {query.path: why for query, why in wrong.items() if why} == {}


async def test_families_are_measured_beside_reads(server: RunningServer) -> None:
    hospital = Hospital(LEAST_SIZE)
    chosen = [reads(hospital), *families(hospital, ["token", "identifier"])]
    found = await measure(server.base_url, chosen, seconds=0.4, clients=4, rounds=2)
    assert [item.label for item in found] == [
        "read", "token dense", "token sparse", "identifier sparse",
    ]  # fmt: skip
    for item in found:
        assert item.reasons == ()
        assert item.requests > 0
        assert 0 < item.p50 <= item.p99
    assert found[0].kilobytes < found[2].kilobytes < found[1].kilobytes


async def test_query_that_finds_something_else_is_an_error_and_not_measured(
    server: RunningServer,
) -> None:
    one = Query(search("Observation", ("code", "nothing")), 10, 10)
    refused = Query(search("Observation", ("no-such-parameter", "1")), 10, 10)
    chosen = [reads(Hospital(LEAST_SIZE)), Family("token", "dense", (one, refused))]
    found = await measure(server.base_url, chosen, seconds=0.2, clients=2, rounds=1)
    assert (found[1].requests, found[1].errors) == (0, 2)
    assert "0 matches on the page; expected 10" in found[1].reasons[0]
    assert "400" in found[1].reasons[1]


def test_values_of_a_family_vary() -> None:
    for family in families(Hospital(LEAST_SIZE)):
        assert len(set(family.queries)) == len(family.queries) >= 3, family.label


def page(matches: int, included: int = 0, **more: Any) -> dict[str, Any]:
    match = {"resource": {"resourceType": "Observation"}, "search": {"mode": "match"}}
    include = {"resource": {"resourceType": "Patient"}, "search": {"mode": "include"}}
    return {"entry": [match] * matches + [include] * included} | more


TEN = Query("/Observation?code=x", 10, 10)
MANY = Query("/Observation?code=x", 900, 2000)
WITH_PATIENTS = Query("/Observation?code=x", 10, 10, included=3)


@pytest.mark.parametrize(
    ("query", "bundle", "why"),
    [
        (TEN, page(10, total=10), ""),
        (TEN, page(9), "9 matches on the page; expected 10"),
        (TEN, page(10, total=11), "total 11; expected 10 to 10"),
        (MANY, page(PAGE, total=1000), ""),
        (MANY, page(PAGE), ""),
        (MANY, page(19, total=1000), "19 matches on the page; expected 20"),
        (MANY, page(PAGE, total=2001), "total 2001; expected 900 to 2000"),
        (WITH_PATIENTS, page(10, 3), ""),
        (WITH_PATIENTS, page(10, 2), "2 included; expected at least 3"),
        (Query("/Patient?x=y", 10, 10), page(10), "matches of another type than Patient"),
    ],
)
def test_page_is_judged_by_what_must_be_found(
    query: Query, bundle: dict[str, Any], why: str
) -> None:
    assert judged(query, bundle) == why


@pytest.mark.parametrize(
    ("order", "dates", "right"),
    [
        ("date", ["2012", "2013", "2013"], True),
        ("-date", ["2013", "2013", "2012"], True),
        ("-date", ["2012", "2013", "2013"], False),
    ],
)
def test_page_out_of_order_is_wrong(order: str, dates: list[str], right: bool) -> None:
    entries = [
        {
            "resource": {"resourceType": "Observation", "effectiveDateTime": when},
            "search": {"mode": "match"},
        }
        for when in dates
    ]
    query = Query("/Observation?code=x", 3, 3, order=order)
    assert (judged(query, {"entry": entries}) == "") is right


def test_families_with_accents_sort_beside_those_without() -> None:
    entries = [
        {
            "resource": {"resourceType": "Patient", "name": [{"family": family}]},
            "search": {"mode": "match"},
        }
        for family in ("Muir", "Müller", "Munro")
    ]
    assert judged(Query("/Patient?x=y", 3, 3, order="family"), {"entry": entries}) == ""


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b'{"mode":"match"}{"mode": "match"}{"mode":"include"}', ""),
        (200, b'{"mode":"match"}{"mode":"include"}', "1 matches on the page; expected 2"),
        (200, b'{"mode":"match"}{"mode":"match"}', "fewer than 1 included"),
        (503, b"busy", "503 busy"),
    ],
)
def test_answer_is_checked_at_a_glance(status: int, body: bytes, why: str) -> None:
    query = Query("/Observation?code=x", 2, 2, included=1)
    assert unexpected(query, Response(status, b"", body)) == why
