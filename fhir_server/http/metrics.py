"""Prometheus metrics, summed over the processes of one server."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

# Seconds; reads take well under a millisecond, a large transaction a few seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_SECONDS = Histogram(
    "fhir_request_seconds",
    "Requests and their duration, by interaction and status.",
    ["interaction", "status"],
    buckets=_BUCKETS,
)
_by_labels: dict[tuple[str, int], Histogram] = {}


def observe(interaction: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    key = (interaction, status)
    histogram = _by_labels.get(key)
    if histogram is None:
        histogram = _by_labels[key] = _SECONDS.labels(interaction, str(status))
    histogram.observe(seconds)


def exposition() -> tuple[str, bytes]:
    """The content type and text of all metrics of this server."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_LATEST, generate_latest(registry)
