"""`python -m benchmarks.audit`: what the audit trail costs; see benchmarks/README.md.

Two servers with databases of their own, one with a trail and one without, measured in turns. Beside
the rates, which other work on the machine disturbs, it tells the processor time of each request: of
the server's processes and of its PostgreSQL, the drain of the journals included.
"""

import argparse
import asyncio
import os
import statistics
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from benchmarks.compare import running
from benchmarks.measure import Figures, Target, measure, prepare

WORKLOADS = ("read", "page", "create")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Round:
    """One workload at one server. processor: seconds of all its processes."""

    figures: Figures
    processor: float

    @property
    def milliseconds(self) -> float:
        """Of the processor, for a request."""
        return 1000 * self.processor / self.figures.requests


def main() -> int:
    """Exit status 1 when a request was not answered as expected."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=5.0, help="for each round")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="events on the disk before answers")
    return uvloop.run(_compare(parser.parse_args()))


async def _compare(arguments: argparse.Namespace) -> int:
    serve = ("fhir_server.cli", "serve", "--workers", "2")
    trail = ("--audit", "on", *(["--audit-strict"] if arguments.strict else []))
    errors = 0
    with ExitStack() as stack:
        audited = await prepare(stack.enter_context(running("audited", *serve, *trail)))
        plain = await prepare(stack.enter_context(running("plain", *serve, "--audit", "off")))
        for workload in arguments.workloads.split(","):
            pairs = []
            for turn in range(arguments.rounds):
                order = (audited, plain) if turn % 2 == 0 else (plain, audited)
                found = {each.base_url: await _round(each, workload, arguments) for each in order}
                pairs.append((found[audited.base_url], found[plain.base_url]))
            _print(workload, pairs)
            errors += sum(each.figures.errors for pair in pairs for each in pair)
    return int(errors > 0)


async def _round(target: Target, workload: str, arguments: argparse.Namespace) -> Round:
    directory = _directory(urlsplit(target.base_url).port)
    before = _processor(directory)
    figures = await measure(target, workload, arguments.seconds, arguments.clients)
    # The drain of what was noted last is part of it.
    await asyncio.sleep(1.5)
    # The warm-up takes part in the processor's time, not in the number of requests.
    share = arguments.seconds / (arguments.seconds + 1)
    return Round(figures, (_processor(directory) - before) * share)


def _directory(port: int | None) -> str:
    """The data directory of the server at a port; its PostgreSQL is not its child, but names it."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_text().split("\0")
            if "--data-dir" in command and str(port) in command:
                return command[command.index("--data-dir") + 1]
    raise RuntimeError(f"no server at port {port}")


def _processor(named: str) -> float:
    """Seconds of the processor that processes which name something took, and all below them."""
    parents: dict[int, int] = {}
    times: dict[int, int] = {}
    roots = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_text()
        except OSError:
            continue
        pid = int(entry.name)
        parents[pid] = int(fields[1])
        times[pid] = sum(map(int, fields[11:15]))
        if named in command:
            roots.add(pid)
    found = {pid for pid in times if _below(pid, parents, roots)}
    return sum(times[pid] for pid in found) / _TICKS


def _below(pid: int, parents: dict[int, int], roots: set[int]) -> bool:
    while pid:
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False


def _print(workload: str, pairs: list[tuple[Round, Round]]) -> None:
    rates = [a.figures.throughput / b.figures.throughput for a, b in pairs]
    costs = [b.milliseconds / a.milliseconds for a, b in pairs]
    audited = statistics.median(a.milliseconds for a, _ in pairs)
    plain = statistics.median(b.milliseconds for _, b in pairs)
    print(
        f"{workload}: rate {_spread(rates)}, processor {_spread(costs)} "
        f"({plain:.3f} ms without, {audited:.3f} ms with); "
        f"{statistics.median(a.figures.throughput for a, _ in pairs):.0f} a second with"
    )
    sys.stdout.flush()


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    sys.exit(main())
