from benchmarks.compare import Comparison
from benchmarks.measure import Figures
from benchmarks.report import comparison_table, figures_table


def figures(throughput: float, errors: int = 0, reasons: tuple[str, ...] = ()) -> Figures:
    return Figures("read", int(throughput) * 2, 2.0, 1.25, 9.5, errors, reasons)


def test_figures_are_a_table_with_the_reasons_of_errors_below() -> None:
    text = figures_table({"server": [figures(1500, 3, ("GET /Patient/1: 500 ",))]})
    assert text.splitlines() == [
        "workload  requests/s  p50 ms  p99 ms  errors",
        "--------  ----------  ------  ------  ------",
        "read           1,498    1.25    9.50       3",
        "error: GET /Patient/1: 500 ",
    ]


def test_ratio_is_taken_round_by_round() -> None:
    comparison = Comparison(
        "read",
        (figures(500), figures(900), figures(600)),
        (figures(1000), figures(1000), figures(1000)),
    )
    assert comparison.ratios == [0.5, 0.9, 0.6]
    assert comparison_table([comparison]).splitlines()[2].split() == [
        "read", "600", "1,000", "0.60", "0.50", "0.90", "0",
    ]  # fmt: skip
