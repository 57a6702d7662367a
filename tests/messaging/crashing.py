"""A server killed again and again under load, and what has to be true afterwards.

Each sender sends a patient, an order for it and the results of that, over and over.
`python -m tests.messaging.crashing 100` kills as often as one likes; the test of it does so twice,
or as often as CRASHES in the environment says.
"""

import asyncio
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg

from fhir_server.hl7v2.message import parse
from fhir_server.storage.embedded import EmbeddedPostgres
from tests.conftest import free_port, fresh_database
from tests.messaging.mllp import connected
from tests.messaging.samples import adt, oml, oru

_SENDERS = 4
_WAITING = "message where state = 'received'"


@dataclass(slots=True)
class Load:
    """Senders that go on whatever happens; what was not answered is sent again.

    acknowledged: control ids that were, which is a promise.
    """

    port: int
    acknowledged: list[str] = field(default_factory=list)
    sent: int = 0
    stopped: bool = False

    async def send(self, name: int) -> None:
        """Send one message after the other, as one sender."""
        modes = "AL|NE" if name % 2 else "|"
        while not self.stopped:
            self.sent += 1
            number = f"C{name}-{self.sent}"
            for content in _story(number, sender=f"S{name}", modes=modes):
                control_id = parse(content).value("MSH-10")
                while not await self._is_acknowledged(content, control_id):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                self.acknowledged.append(control_id)

    async def _is_acknowledged(self, content: bytes, control_id: str) -> bool:
        try:
            reader, writer = await connected(self.port, within=90)
            try:
                writer.write(b"\x0b" + content + b"\x1c\r")
                answer = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError):
            return False
        good = f"|{control_id}\r".encode() in answer or f"|{control_id}|".encode() in answer
        return good and (b"MSA|AA|" in answer or b"MSA|CA|" in answer)


def _story(number: str, **header: str) -> list[bytes]:
    """What becomes of one patient: registered, examined, results final."""
    ids = iter([f"A{number}", f"O{number}", f"R{number}"])
    return [
        adt(f"M{number}", event="A04", control_id=next(ids), **header),
        oml(f"M{number}", f"P{number}", control_id=next(ids), **header),
        oru(f"M{number}", f"P{number}^HIS", control_id=next(ids), **header),
    ]


@asynccontextmanager
async def serving(url: str, directory: Path, port: int, mllp: int) -> AsyncIterator[psutil.Process]:
    """The server as processes of its own, all killed at the end."""
    with (directory / "server.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fhir_server.cli", "serve", "--port", str(port), "--workers", "2",
            "--mllp-port", str(mllp), "--database-url", url, stdout=log, stderr=log,
        )  # fmt: skip
    main = psutil.Process(process.pid)
    try:
        yield main
    finally:
        for each in [main, *main.children(recursive=True)]:
            each.send_signal(signal.SIGKILL)
        await process.wait()


async def survive(url: str, directory: Path, kills: int, seed: int = 0) -> str:
    """Kill the server under load, let it finish its work, and check what is stored.

    Gives a line about it. Raises AssertionError for a promise that was not kept.
    """
    chance = random.Random(seed)
    port, mllp = free_port(), free_port()
    load = Load(mllp)
    senders = [asyncio.create_task(load.send(name)) for name in range(_SENDERS)]
    for _ in range(kills):
        before = len(load.acknowledged)
        async with serving(url, directory, port, mllp):
            async with asyncio.timeout(90):
                while len(load.acknowledged) == before:  # noqa: ASYNC110 - of other processes
                    await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0.0, 0.7))
    load.stopped = True
    async with serving(url, directory, port, mllp):
        async with asyncio.timeout(90):
            await asyncio.gather(*senders)
        await _carried_out(url)
    _check(url, load)
    return f"{kills} kills, {len(load.acknowledged)} messages acknowledged, each carried out once"


async def _carried_out(url: str) -> None:
    """Wait until no message waits any more, for as long as they become fewer."""
    before, left = -1, _count(url, _WAITING)
    while left:
        assert left != before, f"{left} messages wait, and none was carried out for a minute"
        before, end = left, time.monotonic() + 60
        while left == before and time.monotonic() < end:
            await asyncio.sleep(0.1)
            left = _count(url, _WAITING)


def _check(url: str, load: Load) -> None:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select control_id, state, count(*) from tenant_default.message group by 1, 2"
        ).fetchall()
    done = {control_id for control_id, state, count in rows if state == "done" and count == 1}
    assert done >= set(load.acknowledged), sorted(set(load.acknowledged) - done)[:10]
    assert len(rows) == len(done), [row for row in rows if row[0] not in done][:10]
    for type_, letter in (("Patient", "A"), ("ServiceRequest", "O"), ("DiagnosticReport", "R")):
        wanted = sum(each.startswith(letter) for each in done)
        assert _count(url, f"resource where type = '{type_}'") == wanted, type_
    # What is stored twice, or changed twice, has a version too many.
    assert _count(url, "history where type = 'Patient'") == 0
    assert _count(url, "history where type = 'DiagnosticReport'") == 0
    reports = sum(each.startswith("R") for each in done)
    assert _count(url, "resource where type = 'Observation'") == reports


def _count(url: str, what: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"select count(*) from tenant_default.{what}").fetchone()
    assert row is not None
    return int(row[0])


def main() -> None:
    """Kill as often as the command line says."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(prefix="mllp-crash-") as found:
        directory = Path(found)
        directory.chmod(0o755)
        embedded = EmbeddedPostgres(directory / "data")
        postgres = embedded.start()
        try:
            with fresh_database(postgres, "crashing") as url:
                sys.stdout.write(f"{asyncio.run(survive(url, directory, kills))}\n")
        finally:
            embedded.stop()


if __name__ == "__main__":
    main()
