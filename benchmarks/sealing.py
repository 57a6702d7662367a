"""What encryption at rest costs: `python -m benchmarks.sealing`.

Two servers in this process, on databases of one PostgreSQL, one of which encrypts. They take turns,
and what is compared is the processor's time of this process, so that other work does not count.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from fhir_server.app import build
from fhir_server.sealing.master import create_key_file
from fhir_server.settings import Settings
from fhir_server.storage.embedded import EmbeddedPostgres
from fhir_server.storage.migrate import migrate

JSON = {"Content-Type": "application/fhir+json"}

CONDITION = {
    "resourceType": "Condition",
    "clinicalStatus": {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                "code": "active",
            }
        ]
    },
    "code": {
        "coding": [{"system": "http://snomed.info/sct", "code": "44054006", "display": "Diabetes"}],
        "text": "Diabetes mellitus type 2",
    },
    "subject": {"reference": "Patient/example", "display": "Peter Chalmers"},
    "onsetDateTime": "2019-05-04",
    "recordedDate": "2026-03-01T10:00:00Z",
    "note": [{"text": "Diagnosed when he came for something else. Diet and exercise first."}],
}
PATIENT = {
    "resourceType": "Patient",
    "name": [{"family": "Chalmers", "given": ["Peter", "James"]}],
    "identifier": [{"system": "urn:oid:1.2.36.146.595.217.0.1", "value": "12345"}],
    "birthDate": "1974-12-25",
}

Do = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]


async def _create(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.post(resource["resourceType"], json=resource)


WORK: dict[str, Do] = {
    "create a Condition": lambda client, _: _create(client, CONDITION),
    "read a Condition": lambda client, ids: client.get(f"Condition/{ids['Condition']}"),
    "search 20 Conditions": lambda client, _: client.get("Condition?_count=20"),
    "create a Patient": lambda client, _: _create(client, PATIENT),
    "read a Patient": lambda client, ids: client.get(f"Patient/{ids['Patient']}"),
}


@asynccontextmanager
async def _client(url: str, key_file: Path | None) -> Any:
    settings = Settings(
        database_pool=4,
        seal_elements=None if key_file is None else "default",
        seal_keys=None if key_file is None else str(key_file),
    )
    app = build(settings, url)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=JSON, timeout=60
        ) as client,
    ):
        yield client


async def _measure(client: httpx.AsyncClient, do: Do, ids: dict[str, str], times: int) -> float:
    """Microseconds of the processor for one."""
    begun = time.process_time()
    for _ in range(times):
        answer = await do(client, ids)
        assert answer.status_code in (200, 201), answer.text
    return (time.process_time() - begun) / times * 1e6


async def run(server: str, key_file: Path, rounds: int, times: int) -> None:
    """Print what each costs, and the ratio."""
    variants: dict[str, Path | None] = {"off": None, "off again": None, "on": key_file}
    async with AsyncExitStack() as stack:
        clients = {}
        for name, key in variants.items():
            database = f"bench_{name.replace(' ', '_')}"
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'create database "{database}"')
            url = make_conninfo(server, dbname=database)
            migrate(url)
            clients[name] = await stack.enter_async_context(_client(url, key))
        ids: dict[str, dict[str, str]] = {}
        for name, client in clients.items():
            made = [(await _create(client, each)).json() for each in [CONDITION] * 20 + [PATIENT]]
            ids[name] = {each["resourceType"]: each["id"] for each in made}
        for what, do in WORK.items():
            found: dict[str, list[float]] = {name: [] for name in clients}
            for _ in range(rounds):
                for name, client in clients.items():
                    found[name].append(await _measure(client, do, ids[name], times))
            medians = {name: statistics.median(each) for name, each in found.items()}
            shown = "  ".join(f"{name} {each:.0f} µs" for name, each in medians.items())
            ratio = statistics.median(
                on / off for on, off in zip(found["on"], found["off"], strict=True)
            )
            noise = statistics.median(
                on / off for on, off in zip(found["off again"], found["off"], strict=True)
            )
            print(f"{what:22} {shown}  on/off {ratio:.3f}  off/off {noise:.3f}")


def main() -> None:
    """Measure on a PostgreSQL of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-bench-") as directory:
        Path(directory).chmod(0o755)
        key_file = Path(directory) / "master"
        create_key_file(key_file)
        embedded = EmbeddedPostgres(Path(directory) / "data")
        try:
            asyncio.run(run(embedded.start(), key_file, given.rounds, given.times))
        finally:
            embedded.stop()


if __name__ == "__main__":
    main()
