"""`python -m benchmarks`: see benchmarks/README.md."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import report
from benchmarks.compare import COMPARED, compare
from benchmarks.measure import Figures, measure, prepare
from benchmarks.workloads import WORKLOADS


def main() -> int:
    """Exit status 1 when a request was not answered as expected."""
    arguments = _arguments()
    if arguments.compare:
        return uvloop.run(_compare(arguments))
    return uvloop.run(_measure(arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--base-url", default="http://localhost:8080/fhir")
    parser.add_argument("--peer", metavar="URL", help="another server, measured in turns")
    parser.add_argument("--compare", action="store_true", help="our server against the bare loop")
    parser.add_argument("--workloads", default="", help=f"of {', '.join(WORKLOADS)}; comma between")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each workload")
    parser.add_argument("--clients", type=int, default=16, help="at the same time")
    parser.add_argument("--rounds", type=int, default=5, help="of --compare")
    parser.add_argument("--workers", type=int, default=2, help="server processes of --compare")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.workloads.split(",") if name]
    if unknown := set(chosen) - set(WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    arguments.workloads = chosen
    return arguments


async def _measure(arguments: argparse.Namespace) -> int:
    urls = {"server": arguments.base_url} | ({"peer": arguments.peer} if arguments.peer else {})
    try:
        targets = {name: await prepare(url.rstrip("/")) for name, url in urls.items()}
    except OSError as error:
        sys.stderr.write(f"no server answers at {arguments.base_url}: {error}\n")
        return 1
    results: dict[str, list[Figures]] = {name: [] for name in urls}
    for workload in arguments.workloads or WORKLOADS:
        for name, target in targets.items():
            figures = await measure(target, workload, arguments.seconds, arguments.clients)
            results[name].append(figures)
    print(report.figures_table(results))
    _write(
        arguments,
        {
            name: {"baseUrl": urls[name], "workloads": report.figures_json(figures)}
            for name, figures in results.items()
        },
    )
    return int(any(f.errors for figures in results.values() for f in figures))


async def _compare(arguments: argparse.Namespace) -> int:
    workloads = tuple(arguments.workloads) or COMPARED
    if unknown := set(workloads) - set(COMPARED):
        sys.stderr.write(f"the bare loop only knows {', '.join(COMPARED)}, not {unknown}\n")
        return 2
    comparisons = await compare(
        arguments.seconds, arguments.clients, arguments.rounds, arguments.workers, workloads
    )
    print(report.comparison_table(comparisons))
    _write(arguments, {"comparisons": report.comparison_json(comparisons)})
    return int(any(f.errors for c in comparisons for f in c.ours + c.bare))


def _write(arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    if arguments.json:
        settings = {"seconds": arguments.seconds, "clients": arguments.clients}
        content = {"machine": report.machine(), "settings": settings} | figures
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
