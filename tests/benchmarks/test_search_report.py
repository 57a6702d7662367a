from collections import Counter

import pytest

from benchmarks.search_report import Measured, as_json, growth_table, ratios, table_of


def measured(label: str, p50: float, p99: float, errors: int = 0) -> Measured:
    return Measured(label, 1000, 200.0, p50, p99, 34.25, errors, ("why",) if errors else ())


def test_percentiles_are_of_sorted_latencies_and_in_milliseconds() -> None:
    latencies = [number / 1000 for number in range(100, 0, -1)]
    found = Measured.of("token dense", latencies, 2.0, 250_000, Counter({"a": 2, "b": 1}))
    assert found == Measured("token dense", 100, 50.0, 51.0, 100.0, 2.5, 3, ("a", "b"))


def test_family_without_an_answer_has_errors_and_no_figures() -> None:
    found = Measured.of("sort dense", [], 0.0, 0, Counter({"400": 7}))
    assert (found.requests, found.errors, found.throughput) == (0, 7, 0.0)
    text = table_of([measured("read", 2, 10), found])
    assert text.splitlines()[3].split() == ["sort", "dense", *"-" * 6, "7"]
    assert text.endswith("error: 400")


def test_ratios_are_to_the_read_of_the_same_run() -> None:
    assert ratios(measured("x", 6.0, 30.0), measured("read", 2.0, 10.0)) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("p50", "p99", "beyond"),
    [(10.0, 200.0, False), (10.2, 50.0, True), (4.0, 201.0, True)],
    ids=["at both limits", "median beyond", "slowest beyond"],
)
def test_searches_beyond_the_aims_are_named(p50: float, p99: float, beyond: bool) -> None:
    text = table_of([measured("read", 2.0, 10.0), measured("chain dense", p50, p99)])
    assert text.endswith("its p99: chain dense") is beyond


def test_table_shows_figures_with_their_ratios() -> None:
    text = table_of([measured("read", 2.0, 10.0), measured("token dense", 6.0, 25.0, errors=1)])
    assert text.splitlines()[3].split() == [
        "token", "dense", "6.00", "25.00", "3.0", "2.5", "200", "34.2", "1",
    ]  # fmt: skip


def test_growth_is_told_for_searches_of_both_runs() -> None:
    before = [measured("read", 2, 9), measured("token dense", 4, 20), measured("old", 1, 1)]
    after = [measured("read", 2, 9), measured("token dense", 7, 10), measured("new", 1, 1)]
    text = growth_table(as_json(100_000, before, {}), as_json(1_000_000, after, {}))
    lines = text.splitlines()
    assert lines[0] == "100,000 and 1,000,000 resources"
    assert [line.split() for line in lines[3:5]] == [
        ["read", "2.00", "2.00", "1.00", "9.00", "9.00", "1.00"],
        ["token", "dense", "4.00", "7.00", "1.75", "20.00", "10.00", "0.50"],
    ]
    assert lines[5] == "p50 grew more than 1.5 times: token dense"
