"""FHIRPath beside fhirpathpy: the same R4 expressions on the same resources, in one run.

usage: python -m benchmarks.fhirpath DIRECTORY [--every N]

DIRECTORY holds resources as JSON files, such as the official examples, which
scripts/fetch-definitions brings. Expressions are the search parameters of R4 and its invariants;
each is compiled beforehand by both engines and evaluated on every resource of its type. Compared is
the time of a whole pass.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fhirpathpy
from fhirpathpy.models import models

from fhir_server import fhir_json
from fhir_server.fhirpath import FhirPathError
from fhir_server.fhirpath import compile as compile_ours
from fhir_server.spec import definitions

_R4 = models["r4"]
_SECONDS = 0.005
_MOST_RESOURCES = 5

Evaluate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Result:
    """The microseconds one evaluation takes on average; theirs is None if it fails."""

    kind: str
    expression: str
    ours: float
    theirs: float | None

    @property
    def factor(self) -> float:
        """How many times as long theirs takes."""
        assert self.theirs is not None
        return self.theirs / self.ours


def expressions() -> Iterable[tuple[str, str, str]]:
    """Kind, resource type and text of every expression; those of Resource go with Patient."""
    known = definitions()
    for parameter in known.search_parameters:
        for base in parameter.base if parameter.expression else ():
            name = base if base in known.resource_types else "Patient"
            yield "search", name, parameter.expression or ""
    for name in sorted(known.resource_types):
        for constraint in known.types[name].constraints:
            yield "invariant", name, constraint.expression


def examples(directory: Path, every: int) -> dict[str, list[Any]]:
    """Some resources of each type, as plain Python."""
    found: dict[str, list[Any]] = {}
    for path in sorted(directory.glob("*.json"))[::every]:
        resource = fhir_json.decode(path.read_bytes())
        resources = found.setdefault(resource.get("resourceType", ""), [])
        if len(resources) < _MOST_RESOURCES and path.stat().st_size < 100_000:
            resources.append(resource)
    return found


def measured(kind: str, expression: str, resources: list[Any]) -> Result:
    """Both engines on one expression; the best of three rounds each."""
    compiled = compile_ours(expression, as_filters=True)
    ours = compiled.evaluate_bool if kind == "invariant" else compiled.evaluate
    return Result(kind, expression, _best(ours, resources), _theirs(expression, resources))


def _theirs(expression: str, resources: list[Any]) -> float | None:
    # Its trace() prints, whatever it is told.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return _best(fhirpathpy.compile(expression, _R4), resources)
        except Exception:  # it raises bare ones for what it does not know
            return None


def _best(evaluate: Evaluate, resources: list[Any]) -> float:
    for resource in resources:
        evaluate(resource)
    return min(_round(evaluate, resources) for _ in range(3))


def _round(evaluate: Evaluate, resources: list[Any]) -> float:
    passes = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < _SECONDS:
        for resource in resources:
            evaluate(resource)
        passes += 1
    return elapsed / (passes * len(resources)) * 1e6


def report(results: list[Result]) -> str:
    """The medians of each kind and of all."""
    lines = []
    for kind in ("search", "invariant", "all"):
        chosen = [r for r in results if r.theirs is not None and kind in (r.kind, "all")]
        failed = sum(r.theirs is None for r in results if kind in (r.kind, "all"))
        factors = sorted(result.factor for result in chosen)
        tenth = factors[len(factors) // 10]
        lines.append(
            f"{kind:10} {len(chosen):5} expressions"
            f"  ours {statistics.median(r.ours for r in chosen):7.2f} us"
            f"  fhirpathpy {statistics.median(r.theirs or 0 for r in chosen):8.2f} us"
            f"  {statistics.median(factors):6.1f} times (slowest tenth {tenth:.1f})"
            f"  fhirpathpy fails on {failed}"
        )
    return "\n".join(lines)


def main() -> None:
    """Print how both compare."""
    parser = argparse.ArgumentParser(prog="benchmarks.fhirpath")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--every", type=int, default=1, help="use each N-th file")
    arguments = parser.parse_args()
    resources = examples(arguments.directory, arguments.every)
    results = []
    for kind, name, expression in dict.fromkeys(expressions()):
        if resources.get(name):
            with contextlib.suppress(FhirPathError):
                results.append(measured(kind, expression, resources[name]))
    print(report(results))
    for result in sorted((r for r in results if r.theirs is not None), key=lambda r: r.factor)[:5]:
        print(f"  {result.factor:5.1f} times: {result.ours:.2f} us  {result.expression[:90]}")


if __name__ == "__main__":
    main()
