"""Prometheus metrics, summed over the processes of one server."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

# Seconds; reads take well under a millisecond, a large transaction a few seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_REQUESTS = Counter(
    "fhir_requests_total", "Requests by interaction and status.", ["interaction", "status"]
)
_SECONDS = Histogram(
    "fhir_request_seconds", "Duration of requests.", ["interaction"], buckets=_BUCKETS
)

_requests: dict[tuple[str, int], Counter] = {}
_seconds: dict[str, Histogram] = {}


def observe(interaction: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    key = (interaction, status)
    counter = _requests.get(key)
    if counter is None:
        counter = _requests[key] = _REQUESTS.labels(interaction, str(status))
    counter.inc()
    histogram = _seconds.get(interaction)
    if histogram is None:
        histogram = _seconds[interaction] = _SECONDS.labels(interaction)
    histogram.observe(seconds)


def exposition() -> tuple[str, bytes]:
    """The content type and text of all metrics of this server."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_LATEST, generate_latest(registry)
