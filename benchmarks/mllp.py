"""HL7 v2 over MLLP against a bare loop that stores bytes, and against transactions over HTTP.

`python -m benchmarks.mllp [--seconds 5] [--workers 2]` starts a server of its own and prints rates
with their ratios: how many messages a second are stored and acknowledged (enhanced mode), and how
many are carried out, for one connection and for many.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool

from fhir_server.fhir_json import encode
from fhir_server.hl7v2.framing import Frame, Framer, framed
from fhir_server.hl7v2.message import parse
from fhir_server.mapping.convert import Mapper
from fhir_server.packaged import folder
from fhir_server.storage.embedded import EmbeddedPostgres

_numbers = itertools.count(1)
# Both sides take turns, so that what else the machine does hits both.
_ROUNDS = 5
CATALOGUE = "https://fhir-server.example/r4/CodeSystem/laboratory-catalogue"


def orm(sender: int, *, enhanced: bool) -> bytes:
    """A new order of a patient of its own."""
    number = next(_numbers)
    modes = "AL|NE" if enhanced else "|"
    return "".join(
        f"{line}\r"
        for line in (
            f"MSH|^~\\&|HIS{sender}|BENCH|FHIR|BENCH|20260101120000||ORM^O01^ORM_O01|{_id(number)}|P|2.5.1|||{modes}",
            f"PID|1||{_id(number)}^^^BENCH^MR||Doe^John^{number}||19800101|M|||"
            "1 Main St^^Springfield^IL^62701||5551234",
            f"PV1|1|O|||||1234^Smith^Jane^^^^^^NPI||||||||||||V{_id(number)}^^^BENCH^VN",
            f"ORC|NW|P{_id(number)}^HIS|||||||20260101120000|||1234^Smith^Jane^^^^^^NPI",
            f"OBR|1|P{_id(number)}^HIS||CBC^Complete blood count^{CATALOGUE}"
            "|||||||||||||||||||||LAB|||1^^^20260102100000^^R||||^Persistent fever for three weeks",
        )
    ).encode()


def oru(sender: int, *, enhanced: bool) -> bytes:
    """Results of a patient of its own, with 30 observations."""
    number = next(_numbers)
    modes = "AL|NE" if enhanced else "|"
    lines = [
        f"MSH|^~\\&|LAB{sender}|BENCH|FHIR|BENCH|20260101120000||ORU^R01^ORU_R01|{_id(number)}|P|2.5.1|||{modes}",
        f"PID|1||{_id(number)}^^^BENCH^MR||Doe^John^{number}||19800101|M",
        f"ORC|RE||F{_id(number)}^LAB",
        f"OBR|1||F{_id(number)}^LAB|58410-2^CBC panel^LN|||20260101100000|||||||||||||||"
        "20260101113000||LAB|F",
    ]
    lines += [
        f"OBX|{at}|NM|{700 + at}-{at % 10}^Analyte {at}^LN||{at}.5|mg/dL|1-{at + 9}|N|||F|||"
        "20260101100000"
        for at in range(1, 31)
    ]
    return "".join(f"{line}\r" for line in lines).encode()


def _id(number: int) -> str:
    return f"{os.getpid()}-{number}"


Make = Callable[..., bytes]


@dataclass(slots=True)
class Rates:
    """Messages a second."""

    acknowledged: float
    carried_out: float = 0.0


async def talk(port: int, make: Make, sender: int, until: float, *, enhanced: bool) -> int:
    """Send messages on one connection, each after the answer to the last; gives how many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    framer, count = Framer(), 0
    while time.perf_counter() < until:
        writer.write(framed(make(sender, enhanced=enhanced)))
        events: list[Any] = []
        while not events:
            data = await reader.read(65536)
            assert data, "the server closed the connection"
            events = framer.feed(data)
        assert isinstance(events[0], Frame)
        code = parse(events[0].payload).value("MSA-1")
        assert code in ("AA", "CA"), events[0].payload
        count += 1
    writer.close()
    return count


async def many(port: int, make: Make, connections: int, seconds: float, *, enhanced: bool) -> float:
    """The rate of many connections at once, each a sender of its own."""
    begun = time.perf_counter()
    until = begun + seconds
    senders = (talk(port, make, each, until, enhanced=enhanced) for each in range(connections))
    counts = await asyncio.gather(*senders)
    return sum(counts) / (time.perf_counter() - begun)


def bare(url: str, port: int, pool: int) -> None:
    """A loop that stores the bytes of each frame and answers."""

    async def serve() -> None:
        answer = framed(b"MSH|^~\\&|||||20260101||ACK|1|P|2.5.1\rMSA|CA|1\r")
        async with AsyncConnectionPool(
            url, kwargs={"autocommit": True}, min_size=2, max_size=pool
        ) as connections:

            async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                framer = Framer()
                while data := await reader.read(65536):
                    for event in framer.feed(data):
                        assert isinstance(event, Frame)
                        async with connections.connection() as connection:
                            await connection.execute(
                                "insert into bare (content) values (%b)", (event.payload,)
                            )
                        writer.write(answer)
                        await writer.drain()
                writer.close()

            server = await asyncio.start_server(meet, "127.0.0.1", port, reuse_port=True)
            await server.serve_forever()

    uvloop.run(serve())


@asynccontextmanager
async def bare_loops(url: str, workers: int) -> AsyncIterator[int]:
    """The bare loop in as many processes as the server has."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop table if exists bare")
        connection.execute(
            "create table bare (id bigint generated always as identity primary key, content bytea)"
        )
    port = free_port()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=bare, args=(url, port, 16)) for _ in range(workers)]
    for each in processes:
        each.start()
    await _listening(port)
    try:
        yield port
    finally:
        for each in processes:
            each.terminate()
            each.join()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _listening(port: int, within: float = 60) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise TimeoutError(f"nobody listens on port {port}")


def _started(
    url: str, directory: Path, workers: int, port: int, mllp: int
) -> subprocess.Popen[bytes]:
    with (directory / "server.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fhir_server.cli", "serve", "--port", str(port),
             "--mllp-port", str(mllp), "--workers", str(workers), "--database-url", url],
            stdout=log, stderr=log,
        )  # fmt: skip


@asynccontextmanager
async def server(url: str, directory: Path, workers: int) -> AsyncIterator[tuple[str, int]]:
    """The server, with its FHIR base URL and the port of its listener."""
    port, mllp = free_port(), free_port()
    process = _started(url, directory, workers, port, mllp)
    try:
        await _listening(mllp)
        await asyncio.sleep(3)
        yield f"http://127.0.0.1:{port}/fhir", mllp
    finally:
        process.terminate()
        process.wait()


def waiting(url: str) -> int:
    """Messages that are stored and not carried out."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select count(*) from tenant_default.message where state = 'received'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def clear(url: str) -> None:
    """Forget messages that wait: the next measurement is not of them."""
    with psycopg.connect(url) as connection:
        connection.execute("delete from tenant_default.message where state = 'received'")


async def posted(base: str, make: Make, connections: int, seconds: float) -> float:
    """Transactions a second of the resources that the same messages become."""
    mapper = Mapper(folder("mappings"))
    async with httpx.AsyncClient(
        headers={"Content-Type": "application/fhir+json", "Prefer": "return=minimal"},
        limits=httpx.Limits(max_connections=connections),
        timeout=60,
    ) as client:
        bodies: list[bytes] = []
        for _ in range(int(seconds * 120)):
            bundle = mapper.convert(parse(make(0, enhanced=False))).bundle()
            bodies.append(encode(bundle))
        begun = time.perf_counter()
        until = begun + seconds
        done = 0

        async def post() -> None:
            nonlocal done
            while time.perf_counter() < until and bodies:
                answer = await client.post(base, content=bodies.pop())
                assert answer.status_code == 200, answer.text[:500]
                done += 1

        await asyncio.gather(*(post() for _ in range(connections)))
        return done / (time.perf_counter() - begun)


def measure(seconds: float, workers: int) -> None:
    """Print every rate with its ratio."""
    with tempfile.TemporaryDirectory(prefix="mllp-bench-") as found:
        directory = Path(found)
        directory.chmod(0o755)
        embedded = EmbeddedPostgres(directory / "data")
        url = embedded.start()
        try:
            uvloop.run(_measure(url, directory, seconds, workers))
        finally:
            embedded.stop()


async def _measure(url: str, directory: Path, seconds: float, workers: int) -> None:
    print(f"{workers} workers, {seconds:g} s each; messages a second\n")
    print(f"{'':24}{'bare':>10}{'ours':>10}{'ratio':>8}")
    async with server(url, directory, workers) as (base, mllp):
        for name, make in (("ORM", orm), ("ORU, 30 OBX", oru)):
            for connections in (1, 50):
                one, other = [], []
                async with bare_loops(url, workers) as port:
                    for _ in range(_ROUNDS):
                        one.append(await many(port, make, connections, seconds, enhanced=True))
                        other.append(await many(mllp, make, connections, seconds, enhanced=True))
                        clear(url)
                _line(f"stored {name} x{connections}", median(one), median(other))
        print(f"\n{'':24}{'HTTP':>10}{'ours':>10}{'ratio':>8}")
        for name, make in (("ORM", orm), ("ORU, 30 OBX", oru)):
            for connections in (1, 50):
                one, other = [], []
                for _ in range(_ROUNDS):
                    one.append(await posted(base, make, connections, seconds))
                    other.append(await many(mllp, make, connections, seconds, enhanced=False))
                _line(f"carried out {name} x{connections}", median(one), median(other))


def _line(name: str, one: float, other: float) -> None:
    print(f"{name:24}{one:10.1f}{other:10.1f}{other / one:8.2f}")


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    measure(arguments.seconds, arguments.workers)


if __name__ == "__main__":
    main()
