"""Figures as a table for people and as JSON for programs."""

import os
import platform
from collections.abc import Sequence
from typing import Any

from benchmarks.compare import Comparison
from benchmarks.measure import Figures


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned, the first to the left; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def figures_table(servers: dict[str, list[Figures]]) -> str:
    """One row for each workload and server."""
    rows = [["workload", "requests/s", "p50 ms", "p99 ms", "errors"]]
    for name, figures in servers.items():
        for f in figures:
            label = f.workload if len(servers) == 1 else f"{f.workload} ({name})"
            rows.append(
                [label, f"{f.throughput:,.0f}", f"{f.p50:.2f}", f"{f.p99:.2f}", str(f.errors)]
            )
    text = table(rows)
    reasons = {reason for figures in servers.values() for f in figures for reason in f.reasons}
    return "\n".join([text, *(f"error: {reason}" for reason in sorted(reasons))])


def comparison_table(comparisons: list[Comparison]) -> str:
    """The ratios, and the middle throughputs they come from."""
    rows = [["workload", "server/s", "bare/s", "ratio", "min", "max", "errors"]]
    rows += [
        [
            c.workload,
            f"{_middle(c.ours):,.0f}",
            f"{_middle(c.bare):,.0f}",
            f"{c.median:.2f}",
            f"{min(c.ratios):.2f}",
            f"{max(c.ratios):.2f}",
            str(sum(f.errors for f in c.ours + c.bare)),
        ]
        for c in comparisons
    ]
    return table(rows)


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def figures_json(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "workload": f.workload,
            "requestsPerSecond": round(f.throughput, 1),
            "p50Milliseconds": round(f.p50, 3),
            "p99Milliseconds": round(f.p99, 3),
            "requests": f.requests,
            "errors": f.errors,
            "reasons": list(f.reasons),
        }
        for f in figures
    ]


def comparison_json(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """The same for programs, with every round."""
    return [
        {
            "workload": c.workload,
            "ratios": [round(ratio, 4) for ratio in c.ratios],
            "median": round(c.median, 4),
            "server": figures_json(c.ours),
            "bare": figures_json(c.bare),
        }
        for c in comparisons
    ]


def _middle(figures: Sequence[Figures]) -> float:
    return sorted(f.throughput for f in figures)[len(figures) // 2]
