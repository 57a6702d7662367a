"""`python -m benchmarks.search`: searches of each family against reads by id, in turns.

The server holds a hospital of `python -m benchmarks.population`.
"""

import argparse
import asyncio
import gc
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks import search_report
from benchmarks.client import Connection, ConnectionBroken, Response
from benchmarks.hospital.facts import Hospital
from benchmarks.hospital.people import SYSTEM
from benchmarks.probe import probe
from benchmarks.queries import FAMILIES, READ, Family, Query, families, reads
from benchmarks.search_report import Measured

_WARM_UP_SECONDS = 0.3
_MATCH = re.compile(rb'"mode"\s*:\s*"match"')
_INCLUDE = re.compile(rb'"mode"\s*:\s*"include"')


class NoHospital(Exception):
    """The server does not hold a hospital of the seed."""


@dataclass(slots=True)
class _Tally:
    """What came of a family's requests so far; the queries that passed the probe are measured."""

    family: Family
    queries: tuple[Query, ...]
    errors: Counter[str]
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    received: int = 0

    def measured(self) -> Measured:
        """The figures."""
        return Measured.of(
            self.family.label,
            self.latencies,
            self.seconds,
            self.received,
            self.errors,
        )


async def hospital_of(base_url: str, seed: int) -> Hospital:
    """The hospital that a server holds. Raises NoHospital, OSError."""
    connection = Connection(base_url)
    await connection.open()
    reference = Hospital.first_reference(seed)
    response = await connection.request("GET", f"/{reference}")
    connection.close()
    if response.status == 200:
        for identifier in json.loads(response.body)["identifier"]:
            if identifier["system"] == f"{SYSTEM}/population":
                return Hospital(int(identifier["value"].partition("-")[0]), seed)
    raise NoHospital(f"GET {reference} gave {response.status}: run benchmarks.population first")


async def measure(
    base_url: str,
    chosen: list[Family],
    *,
    seconds: float,
    clients: int,
    rounds: int,
    totals: bool = True,
) -> list[Measured]:
    """Each family for `seconds` in all, its rounds in turns with those of the others."""
    tallies = []
    for family in chosen:
        wrong = {} if family.name == READ else await probe(base_url, family, totals=totals)
        right = tuple(query for query in family.queries if not wrong.get(query))
        errors = Counter(f"{query.path}: {why}" for query, why in wrong.items() if why)
        tallies.append(_Tally(family, right, errors))
    for turn in range(rounds):
        # Who goes first changes, so that none always follows the same other one.
        start = turn * len(tallies) // rounds
        for tally in tallies[start:] + tallies[:start]:
            if tally.queries:
                await _round(base_url, tally, seconds / rounds, clients)
    return [tally.measured() for tally in tallies]


async def _round(base_url: str, tally: _Tally, seconds: float, clients: int) -> None:
    await _run(base_url, _Tally(tally.family, tally.queries, Counter()), _WARM_UP_SECONDS, clients)
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    await _run(base_url, tally, seconds, clients)
    tally.seconds += time.perf_counter() - started
    gc.enable()


async def _run(base_url: str, tally: _Tally, seconds: float, clients: int) -> None:
    end = time.perf_counter() + seconds

    async def work() -> None:
        connection = Connection(base_url)
        await connection.open()
        while time.perf_counter() < end:
            query = random.choice(tally.queries)
            started = time.perf_counter()
            try:
                response = await connection.request("GET", query.path)
            except (ConnectionBroken, OSError) as error:
                response = Response(0, b"", str(error).encode())
            tally.latencies.append(time.perf_counter() - started)
            tally.received += len(response.body)
            if why := unexpected(query, response):
                tally.errors[f"{query.path}: {why}"] += 1
        connection.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(work())


def unexpected(query: Query, response: Response) -> str:
    """What is wrong with an answer at a glance, or nothing; `probe` looks closely."""
    if response.status != 200:
        return f"{response.status} {response.body[:200].decode(errors='replace')}"
    if (found := len(_MATCH.findall(response.body))) != query.matches:
        return f"{found} matches on the page; expected {query.matches}"
    if query.included and len(_INCLUDE.findall(response.body)) < query.included:
        return f"fewer than {query.included} included"
    return ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--base-url", default="http://localhost:8080/fhir")
    parser.add_argument("--families", default="", help=f"of {', '.join(FAMILIES)}; comma between")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each family and density")
    parser.add_argument("--clients", type=int, default=16, help="at the same time")
    parser.add_argument("--rounds", type=int, default=5, help="in turns, of the seconds")
    parser.add_argument("--seed", type=int, default=0, help="of the population")
    parser.add_argument("--no-totals", action="store_true", help="do not check exact totals before")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="figures of an earlier run")
    arguments = parser.parse_args()
    arguments.families = [name for name in arguments.families.split(",") if name]
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"no such family: {', '.join(sorted(unknown))}")
    return arguments


async def _search(arguments: argparse.Namespace) -> int:
    url = arguments.base_url.rstrip("/")
    try:
        hospital = await hospital_of(url, arguments.seed)
    except (OSError, NoHospital) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1
    chosen = [reads(hospital), *families(hospital, arguments.families)]
    found = await measure(
        url,
        chosen,
        seconds=arguments.seconds,
        clients=arguments.clients,
        rounds=arguments.rounds,
        totals=not arguments.no_totals,
    )
    print(search_report.table_of(found))
    content = search_report.as_json(
        hospital.size, found, {"seconds": arguments.seconds, "clients": arguments.clients}
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    if arguments.compare:
        earlier = json.loads(arguments.compare.read_text())
        print("\n" + search_report.growth_table(earlier, content))
    return int(any(item.errors for item in found))


def main() -> int:
    """Exit status 1 when a search was not answered as expected."""
    return uvloop.run(_search(_arguments()))


if __name__ == "__main__":
    sys.exit(main())
