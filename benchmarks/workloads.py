"""What is measured. A workload is one step that a client repeats; each request in it is timed."""

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from benchmarks.client import Connection, Response
from benchmarks.resources import (
    IDENTIFIER_SYSTEM,
    NINE_TYPES,
    Resource,
    encode,
    observation,
    patient,
)

_ENTRIES_OF_A_TRANSACTION = 10


class Timed(Protocol):
    """Sends a request, times it, and counts it as an error when the status is not `expected`."""

    async def __call__(
        self, expected: int, method: str, path: str, body: bytes = b"", headers: bytes = b""
    ) -> Response: ...


@dataclass(slots=True)
class Client:
    """One of the clients that work at the same time; `mine` are patients nobody else changes."""

    send: Timed
    number: int
    patients: list[str]
    mine: list[str]
    random: random.Random
    count: int = 0
    known: list[str] = field(default_factory=list)

    def unique(self) -> str:
        """An identifier never used before, by anyone."""
        self.count += 1
        return uuid4().hex


Step = Callable[[Client], Awaitable[None]]


async def store_patients(connection: Connection, numbers: range) -> list[str]:
    """What reads and updates need: ids of patients just created."""
    ids = []
    for number in numbers:
        body = encode(patient(uuid4().hex, number, {}))
        response = await connection.request("POST", "/Patient", body)
        if response.status != 201:
            raise RuntimeError(
                f"creating a patient gave {response.status}: {response.body[:500]!r}"
            )
        ids.append(identity(response)[1])
    return ids


def identity(response: Response) -> tuple[str, str]:
    """Type and id of what was created, from its Location."""
    parts = response.header(b"location").decode().partition("/_history/")[0].split("/")
    return parts[-2], parts[-1]


async def read(client: Client) -> None:
    await client.send(200, "GET", f"/Patient/{client.random.choice(client.patients)}")


async def page(client: Client) -> None:
    await client.send(200, "GET", "/Patient?_count=20&_sort=-_lastUpdated")


async def create(client: Client) -> None:
    subject = {"Patient": f"Patient/{client.random.choice(client.patients)}"}
    body = encode(observation(client.unique(), client.count, subject))
    await client.send(201, "POST", "/Observation", body)


async def update(client: Client) -> None:
    id_ = client.random.choice(client.mine)
    changed = patient(client.unique(), client.count, {}) | {"id": id_}
    await client.send(200, "PUT", f"/Patient/{id_}", encode(changed))


async def conditional_create(client: Client) -> None:
    """Every other one finds that it is there already."""
    found = bool(client.known) and client.count % 2 == 1
    unique = client.known[-1] if found else client.unique()
    client.count += found
    condition = f"If-None-Exist: identifier={IDENTIFIER_SYSTEM}|{unique}\r\n".encode()
    body = encode(patient(unique, client.count, {}))
    await client.send(200 if found else 201, "POST", "/Patient", body, condition)
    client.known = [unique]


async def transaction(client: Client) -> None:
    """Nine linked types and a second observation, all new, in one Bundle."""
    urls = {type_: f"urn:uuid:{uuid4()}" for type_ in NINE_TYPES}
    resources = [
        (urls[type_], make(client.unique(), client.count, urls))
        for type_, make in NINE_TYPES.items()
    ]
    resources.append((f"urn:uuid:{uuid4()}", observation(client.unique(), client.count, urls)))
    assert len(resources) == _ENTRIES_OF_A_TRANSACTION
    entries = [
        {
            "fullUrl": url,
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for url, resource in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await client.send(200, "POST", "", encode(bundle))


async def mix(client: Client) -> None:
    """Nine linked types: all created, each read, updated, read again, all deleted."""
    references: dict[str, str] = {}
    resources: dict[str, Resource] = {}
    for type_, make in NINE_TYPES.items():
        resource = make(client.unique(), client.count, references)
        response = await client.send(201, "POST", f"/{type_}", encode(resource))
        if response.status != 201:
            return
        references[type_] = "/".join(identity(response))
        resources[type_] = resource
    for type_, resource in resources.items():
        await client.send(200, "GET", f"/{references[type_]}")
        resource |= {"id": references[type_].split("/")[1], "language": "en"}
        await client.send(200, "PUT", f"/{references[type_]}", encode(resource))
        response = await client.send(200, "GET", f"/{references[type_]}")
        if response.status == 200 and json.loads(response.body)["language"] != "en":
            raise RuntimeError(f"{references[type_]}: the update was not read back")
    for type_ in reversed(references):
        await client.send(_DELETED, "DELETE", f"/{references[type_]}")


_DELETED = 204

WORKLOADS: Mapping[str, Step] = {
    "read": read,
    "page": page,
    "create": create,
    "update": update,
    "conditional-create": conditional_create,
    "transaction": transaction,
    "mix": mix,
}
