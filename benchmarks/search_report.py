"""Figures of searches beside those of a read, as tables for people and as JSON for programs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from benchmarks.queries import READ
from benchmarks.report import machine, table

# How many times as long as a read by id a search may take, and how much longer on ten times the
# data (issue 4).
MEDIAN_WITHIN = 5.0
SLOWEST_WITHIN = 20.0
GROWTH_WITHIN = 1.5

_REASONS = 3
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a family gave; latencies in milliseconds, 0 when none of its queries was answered."""

    label: str
    requests: int
    throughput: float
    p50: float
    p99: float
    kilobytes: float
    errors: int
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        label: str,
        latencies: list[float],
        seconds: float,
        received: int,
        errors: Counter[str],
    ) -> "Measured":
        """From latencies in seconds and bytes received."""
        ordered = sorted(latencies)
        count = len(ordered)
        reasons = tuple(reason for reason, _ in errors.most_common(_REASONS))
        if not count:
            return cls(label, 0, 0.0, 0.0, 0.0, 0.0, errors.total(), reasons)
        return cls(
            label,
            count,
            count / seconds,
            1000 * ordered[count // 2],
            1000 * ordered[count * 99 // 100],
            received / count / 1000,
            errors.total(),
            reasons,
        )


def table_of(found: list[Measured]) -> str:
    """A row for each, then which are beyond the aims, then the reasons of errors."""
    yardstick = next(item for item in found if item.label == READ)
    rows = [["search", "p50 ms", "p99 ms", "/read", "/read", "requests/s", "kB", "errors"]]
    beyond = []
    for item in found:
        if not item.requests:
            rows.append([item.label, *[_NONE] * 6, str(item.errors)])
            continue
        median, slowest = ratios(item, yardstick)
        if median > MEDIAN_WITHIN or slowest > SLOWEST_WITHIN:
            beyond.append(item.label)
        rows.append(
            [
                item.label,
                f"{item.p50:.2f}",
                f"{item.p99:.2f}",
                f"{median:.1f}",
                f"{slowest:.1f}",
                f"{item.throughput:,.0f}",
                f"{item.kilobytes:.1f}",
                str(item.errors),
            ]
        )
    lines = [table(rows)]
    if beyond:
        lines.append(
            f"beyond {MEDIAN_WITHIN:g} times read's p50 or {SLOWEST_WITHIN:g} times its p99: "
            + ", ".join(beyond)
        )
    lines += [f"error: {reason}" for item in found for reason in item.reasons]
    return "\n".join(lines)


def ratios(item: Measured, yardstick: Measured) -> tuple[float, float]:
    """Of the medians and of the 99th percentiles."""
    if not yardstick.p50:
        return 0.0, 0.0
    return item.p50 / yardstick.p50, item.p99 / yardstick.p99


def as_json(size: int, found: list[Measured], settings: dict[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    yardstick = next(item for item in found if item.label == READ)
    searches = {}
    for item in found:
        median, slowest = ratios(item, yardstick)
        searches[item.label] = {
            "p50Milliseconds": round(item.p50, 3),
            "p99Milliseconds": round(item.p99, 3),
            "p50OfRead": round(median, 2),
            "p99OfRead": round(slowest, 2),
            "requestsPerSecond": round(item.throughput, 1),
            "kilobytes": round(item.kilobytes, 2),
            "requests": item.requests,
            "errors": item.errors,
            "reasons": list(item.reasons),
        }
    return {
        "machine": machine(),
        "settings": settings,
        "resources": size,
        "searches": searches,
    }


def growth_table(earlier: dict[str, Any], later: dict[str, Any]) -> str:
    """How much longer each search takes than in an earlier run, both as JSON."""
    rows = [["search", "p50 before", "p50", "growth", "p99 before", "p99", "growth"]]
    beyond = []
    for label, now in later["searches"].items():
        before = earlier["searches"].get(label)
        if before is None or not before["requests"] or not now["requests"]:
            continue
        row = [label]
        for name in ("p50Milliseconds", "p99Milliseconds"):
            row += [f"{before[name]:.2f}", f"{now[name]:.2f}", f"{now[name] / before[name]:.2f}"]
        rows.append(row)
        if label != READ and now["p50Milliseconds"] > GROWTH_WITHIN * before["p50Milliseconds"]:
            beyond.append(label)
    lines = [f"{earlier['resources']:,} and {later['resources']:,} resources", table(rows)]
    if beyond:
        lines.append(f"p50 grew more than {GROWTH_WITHIN:g} times: {', '.join(beyond)}")
    return "\n".join(lines)
