"""The measurement of orders, against the real server."""

from pathlib import Path

from benchmarks.orders import Figures, Round, measure
from tests.conftest import running_server


def test_ord_1_processes_that_order_at_once_get_distinct_numbers(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with running_server(tmp_path, "--data-dir", str(tmp_path), "--workers", "2") as server:
        figures = measure(server.base_url, orders=120, processes=3, rounds=2)
    assert figures.distinct
    assert {system: len(each) for system, each in figures.numbers.items()}.items() >= {
        "https://fhir-server.example/r4/order-number": 120,
        "https://fhir-server.example/r4/accession-number": 120,
    }.items()
    assert len(figures.rounds) == 2
    assert all(each.orders > 0 and each.plain > 0 for each in figures.rounds)


def test_a_number_that_came_twice_is_told() -> None:
    assert not Figures((Round(1, 2),), {"urn:a": ["1", "2", "1"]}).distinct
    assert Round(30, 100).ratio == 0.3
