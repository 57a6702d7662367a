"""Runs a workload with many clients for some seconds."""

import asyncio
import gc
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.client import Connection, ConnectionBroken, Response
from benchmarks.workloads import WORKLOADS, Client, Step, store_patients

_WARM_UP_SECONDS = 1.0
_STORED_PATIENTS = 1000
_WRITERS = 8


@dataclass(frozen=True, slots=True)
class Figures:
    """What one workload gave; latencies in milliseconds."""

    workload: str
    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int
    reasons: tuple[str, ...] = ()

    @property
    def throughput(self) -> float:
        """Requests a second that were answered as expected."""
        return (self.requests - self.errors) / self.seconds


@dataclass(slots=True)
class _Tally:
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class _Sender:
    """A connection whose requests are timed."""

    def __init__(self, connection: Connection, tally: _Tally):
        self._connection = connection
        self._tally = tally

    async def __call__(
        self, expected: int, method: str, path: str, body: bytes = b"", headers: bytes = b""
    ) -> Response:
        started = time.perf_counter()
        try:
            response = await self._connection.request(method, path, body, headers)
        except (ConnectionBroken, OSError) as error:
            response = Response(0, b"", str(error).encode())
        self._tally.latencies.append(time.perf_counter() - started)
        if response.status != expected and not (expected == 204 and response.status == 200):
            text = response.body[:300].decode(errors="replace")
            self._tally.errors[f"{method} {path.split('?')[0]}: {response.status} {text}"] += 1
        return response


@dataclass(slots=True)
class Target:
    """A server under measurement and the patients put into it beforehand.

    token: sent with each request, if there is one.
    """

    base_url: str
    patients: list[str]
    token: str = ""


async def prepare(base_url: str, patients: int = _STORED_PATIENTS, token: str = "") -> Target:
    """Put in what the workloads need. Raises OSError when no server answers."""

    async def store(first: int) -> list[str]:
        connection = Connection(base_url, token)
        await connection.open()
        ids = await store_patients(connection, range(first, patients, _WRITERS))
        connection.close()
        return ids

    stored = await asyncio.gather(*(store(first) for first in range(_WRITERS)))
    return Target(base_url, [id_ for ids in stored for id_ in ids], token)


async def measure(target: Target, workload: str, seconds: float, clients: int) -> Figures:
    """One workload, after a short warm-up that does not count."""
    await _run(target, WORKLOADS[workload], min(_WARM_UP_SECONDS, seconds), clients)
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    tally = await _run(target, WORKLOADS[workload], seconds, clients)
    took = time.perf_counter() - started
    gc.enable()
    ordered = sorted(tally.latencies)
    return Figures(
        workload,
        len(ordered),
        took,
        1000 * ordered[len(ordered) // 2],
        1000 * ordered[len(ordered) * 99 // 100],
        tally.errors.total(),
        tuple(reason for reason, _ in tally.errors.most_common(3)),
    )


async def _run(target: Target, step: Step, seconds: float, clients: int) -> _Tally:
    tally = _Tally()
    end = time.perf_counter() + seconds

    async def work(number: int) -> None:
        connection = Connection(target.base_url, target.token)
        await connection.open()
        client = Client(
            _Sender(connection, tally),
            number,
            target.patients,
            target.patients[number::clients],
            random.Random(number),
        )
        while time.perf_counter() < end:
            await step(client)
        connection.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(work(number))
    return tally
