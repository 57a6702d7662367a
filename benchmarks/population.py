"""`python -m benchmarks.population`: fill a running server with a believable hospital.

Sent twice, or sent again after an interruption, it leaves the same as sent once.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import uvloop
from tqdm import tqdm

from benchmarks.client import Connection, ConnectionBroken
from benchmarks.hospital import care, people, results
from benchmarks.hospital.facts import TYPES, Hospital
from benchmarks.hospital.people import Resource

SENT_TOGETHER = 500
_CONNECTIONS = 6
_ATTEMPTS = 8
_PREFER = b"Prefer: return=minimal\r\n"

MAKERS: dict[str, Callable[[Hospital, int, random.Random], Resource]] = {
    "Organization": people.organization,
    "Location": people.location,
    "Practitioner": people.practitioner,
    "Patient": people.patient,
    "Encounter": care.encounter,
    "Condition": care.condition,
    "Procedure": care.procedure,
    "MedicationRequest": care.medication_request,
    "ServiceRequest": results.service_request,
    "DiagnosticReport": results.diagnostic_report,
    "ImagingStudy": results.imaging_study,
    "Observation": results.observation,
}


class Refused(Exception):
    """The server did not store a part of the hospital."""


@dataclass(frozen=True, slots=True)
class Part:
    """The resources of one request, by type and number."""

    index: int
    members: list[tuple[str, int]]

    def resources(self, hospital: Hospital) -> Iterator[Resource]:
        """Made when they are sent; the same ones each time."""
        decoration = random.Random(f"{hospital.seed} {hospital.size} {self.index}")
        for type_, number in self.members:
            yield MAKERS[type_](hospital, number, decoration)


def parts(hospital: Hospital) -> Iterator[Part]:
    """The hospital in the order of insertion: each part has some of every type, mixed."""
    count = -(-hospital.size // SENT_TOGETHER)
    for index in range(count):
        members = [
            (type_, number)
            for type_ in TYPES
            for number in range(
                hospital.counts[type_] * index // count,
                hospital.counts[type_] * (index + 1) // count,
            )
        ]
        random.Random(f"order {hospital.seed} {index}").shuffle(members)
        yield Part(index, members)


def bundle(hospital: Hospital, part: Part) -> bytes:
    """A transaction: stored whole or not at all, so that one member tells about all."""
    entries = [
        {
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in part.resources(hospital)
    ]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


async def fill(base_url: str, hospital: Hospital, connections: int, *, quiet: bool = False) -> int:
    """Store what is not stored yet; gives how many resources were sent. Raises Refused, OSError."""
    await _check_same(base_url, hospital)
    waiting = parts(hospital)
    sent = 0
    with tqdm(total=hospital.size, unit="", unit_scale=True, disable=quiet) as progress:

        async def work() -> None:
            nonlocal sent
            connection = Connection(base_url)
            for part in waiting:
                if not await _is_stored(connection, hospital, part):
                    await _store(connection, bundle(hospital, part), part)
                    sent += len(part.members)
                progress.update(len(part.members))
            connection.close()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(work())
    return sent


async def _check_same(base_url: str, hospital: Hospital) -> None:
    """Ids depend on the seed only: a hospital of another size would be overwritten."""
    connection = Connection(base_url)
    first = hospital.reference("Organization", 0)
    response = await connection.request("GET", f"/{first}")
    connection.close()
    mark = f'"{hospital.size}-{hospital.seed}"'.encode()
    if response.status == 200 and mark not in response.body:
        raise Refused("the server holds a hospital of another size made from the same seed")
    if response.status not in (200, 404):
        raise Refused(f"GET {first} gave {response.status}: {response.body[:300]!r}")


async def _is_stored(connection: Connection, hospital: Hospital, part: Part) -> bool:
    type_, number = part.members[0]
    path = f"/{hospital.reference(type_, number)}"
    for _ in range(_ATTEMPTS):
        try:
            return (await connection.request("HEAD", path)).status == 200
        except (ConnectionBroken, OSError):
            await asyncio.sleep(1)
    raise Refused(f"HEAD {path}: the connection broke {_ATTEMPTS} times")


async def _store(connection: Connection, body: bytes, part: Part) -> None:
    reason = ""
    for attempt in range(_ATTEMPTS):
        try:
            response = await connection.request("POST", "", body, _PREFER)
        except (ConnectionBroken, OSError) as error:
            reason = str(error)
        else:
            if response.status == 200:
                return
            reason = f"{response.status} {response.body[:500].decode(errors='replace')}"
            if response.status not in (409, 429, 503):
                break
        await asyncio.sleep(0.2 * 2**attempt)
    raise Refused(f"part {part.index}: {reason}")


def main() -> int:
    """Exit status 1 when the server did not take everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.population", description=__doc__)
    parser.add_argument("--base-url", default="http://localhost:8080/fhir")
    parser.add_argument("--size", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--connections", type=int, default=_CONNECTIONS)
    arguments = parser.parse_args()
    try:
        hospital = Hospital(arguments.size, arguments.seed)
        url = arguments.base_url.rstrip("/")
        sent = uvloop.run(fill(url, hospital, arguments.connections))
    except ValueError as error:
        parser.error(str(error))
    except (OSError, ExceptionGroup, Refused) as error:
        reasons = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        for reason in reasons:
            sys.stderr.write(f"{reason}\n")
        return 1
    print(f"{sent:,} resources sent, {hospital.size - sent:,} were there already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
