"""How fast orders are created, and that no two get the same number.

`python -m benchmarks.orders --base-url URL`: some processes create orders and, in turns, the same
ServiceRequests without what makes them orders. Prints how many distinct numbers there were and the
ratio of the rates; the exit status is 1 when a number came twice or a request was refused.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

import uvloop

from benchmarks.client import Connection
from benchmarks.workloads import identity

_BASE = "https://fhir-server.example/r4"
_CLASS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
# A ServiceRequest alone is created faster, so a round has more of them to last as long.
_PLAIN = 3


@dataclass(frozen=True, slots=True)
class Round:
    """Orders and plain ServiceRequests a second, created in turns."""

    orders: float
    plain: float

    @property
    def ratio(self) -> float:
        """The rate of orders as a share of the other."""
        return self.orders / self.plain


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run gave. numbers: by identifier system, as they came."""

    rounds: tuple[Round, ...]
    numbers: dict[str, list[str]]

    @property
    def distinct(self) -> bool:
        """Whether every number came once."""
        return all(len(set(each)) == len(each) for each in self.numbers.values())


def main() -> int:
    """Exit status 1 when a number came twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders", description=__doc__)
    parser.add_argument("--base-url", default="http://localhost:8080/fhir")
    parser.add_argument("--orders", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    figures = measure(given.base_url, given.orders, given.processes, given.rounds)
    for each in figures.rounds:
        print(
            f"{each.orders:8.0f} orders/s {each.plain:8.0f} plain/s   ratio {each.ratio:.2f}",
        )
    for system, numbers in sorted(figures.numbers.items()):
        print(f"{system}: {len(numbers)} numbers, {len(set(numbers))} distinct")
    print(f"median ratio {statistics.median(each.ratio for each in figures.rounds):.2f}")
    return int(not figures.distinct)


def measure(base_url: str, orders: int, processes: int, rounds: int) -> Figures:
    """Create orders and plain ServiceRequests in turns. Raises RuntimeError for a refusal."""
    each = max(1, orders // processes // rounds)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    answers: multiprocessing.Queue[list[Any]] = context.Queue()
    workers = [
        context.Process(target=_work, args=(base_url, each, rounds, barrier, answers))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        times = [_timed(barrier) for _ in range(2 * rounds)]
        created = [resource for _ in workers for resource in answers.get(timeout=120)]
    finally:
        barrier.abort()
        for worker in workers:
            worker.join()
    total = each * processes
    pairs = zip(times[::2], times[1::2], strict=True)
    return Figures(
        tuple(Round(total / took, _PLAIN * total / plain) for took, plain in pairs),
        _numbers(created),
    )


def _timed(barrier: Barrier) -> float:
    barrier.wait(300)
    started = time.perf_counter()
    barrier.wait(300)
    return time.perf_counter() - started


def _numbers(created: list[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in created:
        for identifier in each:
            found.setdefault(identifier["system"], []).append(identifier["value"])
    return found


def _work(
    base_url: str,
    orders: int,
    rounds: int,
    barrier: Barrier,
    answers: "multiprocessing.Queue[list[Any]]",
) -> None:
    try:
        answers.put(uvloop.run(_rounds(base_url, orders, rounds, barrier)))
    except BaseException:
        barrier.abort()
        raise


async def _rounds(base_url: str, orders: int, rounds: int, barrier: Barrier) -> list[Any]:
    """The identifiers of the orders that this process created."""
    connection = Connection(base_url)
    await connection.open()
    order = await _ordered(connection)
    plain = {name: value for name, value in order.items() if name != "category"}
    bodies = [json.dumps(each).encode() for each in (order, plain)]
    # Both once, so that a process of the server has compiled what it needs.
    for body in bodies * 20:
        await _create(connection, body)
    created: list[bytes] = []
    for _ in range(rounds):
        for body, count in zip(bodies, (orders, _PLAIN * orders), strict=True):
            await asyncio.to_thread(barrier.wait, 300)
            found = [await _create(connection, body) for _ in range(count)]
            await asyncio.to_thread(barrier.wait, 300)
            if body is bodies[0]:
                created += found
    connection.close()
    return [json.loads(each)["identifier"] for each in created]


async def _create(connection: Connection, body: bytes, path: str = "/ServiceRequest") -> bytes:
    response = await connection.request("POST", path, body)
    if response.status != 201:
        raise RuntimeError(f"POST {path} gave {response.status}: {response.body[:500]!r}")
    return response.body


async def _ordered(connection: Connection) -> dict[str, Any]:
    """An imaging order, with everybody it names stored."""
    patient = await _reference(connection, {"resourceType": "Patient", "active": True})
    encounter = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": _CLASS, "code": "AMB"},
        "subject": {"reference": patient},
    }
    who = {"resourceType": "Practitioner", "active": True, "name": [{"family": "Benchmark"}]}
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "category": [_concept("order-type", "imaging")],
        "priority": "urgent",
        "code": {"text": "Chest, two views"},
        "subject": {"reference": patient},
        "encounter": {"reference": await _reference(connection, encounter)},
        "requester": {"reference": await _reference(connection, who)},
        "reasonCode": [{"text": "Persistent cough for three weeks, no fever"}],
        "bodySite": [_concept("body-part", "CHEST")],
        "extension": [
            {
                "url": f"{_BASE}/StructureDefinition/order-modality",
                "valueCoding": _concept("modality", "XRAY")["coding"][0],
            }
        ],
    }


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_BASE}/CodeSystem/{system}", "code": code}]}


async def _reference(connection: Connection, resource: dict[str, Any]) -> str:
    path = f"/{resource['resourceType']}"
    response = await connection.request("POST", path, json.dumps(resource).encode())
    if response.status != 201:
        raise RuntimeError(f"POST {path} gave {response.status}: {response.body[:500]!r}")
    return "/".join(identity(response))


if __name__ == "__main__":
    sys.exit(main())
