"""Writers at work while search parameters come, change and go: afterwards every search is exact."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.indexing.workers import (
    ids,
    index_status,
    parameter,
    searchable,
    until_complete,
    workers,
)

COLOURS = ("red", "green", "blue")
COLOUR = "http://example.org/colour"
SIZE = "http://example.org/size"


class Writers:
    """Clients that create, update, delete and send transactions, and remember what they stored."""

    def __init__(self, clients: list[httpx.AsyncClient], seed: int) -> None:
        self._clients = clients
        self._random = random.Random(seed)
        self.stored: dict[str, dict[str, Any] | None] = {}
        self.written = 0
        self._ended = False

    @asynccontextmanager
    async def at_work(self, number: int = 6) -> AsyncIterator[None]:
        """Write inside the block."""
        tasks = [asyncio.create_task(self._write(name)) for name in range(number)]
        try:
            yield
        finally:
            self._ended = True
            await asyncio.gather(*tasks)

    async def reach(self, number: int) -> None:
        """Return once so many more resources were written."""
        goal = self.written + number
        async with asyncio.timeout(60):
            while self.written < goal:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def _write(self, name: int) -> None:
        count = 0
        while not self._ended:
            count += 1
            await self._one(self._random.choice(self._clients), f"w{name}-{count % 40}")

    async def _one(self, client: httpx.AsyncClient, id_: str) -> None:
        choice = self._random.random()
        if choice < 0.1 and self.stored.get(id_):
            answer = await client.delete(f"Patient/{id_}")
            self.stored[id_] = None
        elif choice < 0.3:
            batch = [self._patient(f"{id_}-{number}") for number in range(3)]
            entries = [
                {"resource": item, "request": {"method": "PUT", "url": f"Patient/{item['id']}"}}
                for item in batch
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = await client.post("", json=bundle)
            self.stored |= {item["id"]: item for item in batch}
        else:
            resource = self._patient(id_)
            answer = await client.put(f"Patient/{id_}", json=resource)
            self.stored[id_] = resource
        assert answer.status_code in (200, 201, 204), answer.text
        self.written += 1

    def _patient(self, id_: str) -> dict[str, Any]:
        extension = [
            {"url": COLOUR, "valueCode": self._random.choice(COLOURS)},
            {"url": SIZE, "valueInteger": self._random.randrange(5)},
        ]
        return {"resourceType": "Patient", "id": id_, "extension": extension}

    def having(self, place: int, value: Any) -> set[str]:
        """The ids of the patients whose extension at a place has a value."""
        return {
            id_
            for id_, resource in self.stored.items()
            if resource is not None and value in resource["extension"][place].values()
        }


async def check(writers: Writers, client: httpx.AsyncClient, code: str, place: int) -> None:
    """Compare each search by a parameter with a look at everything."""
    values: tuple[Any, ...] = COLOURS if place == 0 else tuple(range(5))
    for value in values:
        await searchable(client, f"Patient?{code}={value}")
        found = await ids(client, f"Patient?{code}={value}&_count=500")
        assert found == writers.having(place, value)
    assert await ids(client, f"Patient?{code}:missing=true&_count=500") == set()


@pytest.mark.parametrize("seed", range(3))
async def test_a_parameter_added_while_others_write_finds_everything(
    own_database: str, seed: int
) -> None:
    async with workers(own_database, 3) as clients:
        writers = Writers(clients, seed)
        async with writers.at_work():
            await writers.reach(60)
            colour = parameter("colour", f"Patient.extension('{COLOUR}').value as code")
            answer = await clients[0].post("SearchParameter", json=colour)
            assert answer.status_code == 201
            await writers.reach(30)
            size = parameter("size", f"Patient.extension('{SIZE}').value as integer", "number")
            answer = await clients[1].post("SearchParameter", json=size)
            assert answer.status_code == 201
            await until_complete(*clients)
            await writers.reach(60)
        for client in clients:
            await check(writers, client, "colour", 0)
            await check(writers, client, "size", 1)


async def test_a_parameter_that_changes_and_goes_while_others_write_is_exact(
    own_database: str,
) -> None:
    async with workers(own_database, 3) as clients:
        writers = Writers(clients, 7)
        definition = parameter("it", f"Patient.extension('{COLOUR}').value as code")
        definition["id"] = "it"
        other = definition | {"expression": f"Patient.extension('{SIZE}').value as integer"}
        other["type"] = "number"
        async with writers.at_work():
            await writers.reach(40)
            for form in (definition, other, definition):
                answer = await clients[0].put("SearchParameter/it", json=form)
                assert answer.status_code in (200, 201), answer.text
                await writers.reach(20)
            assert (await clients[1].delete("SearchParameter/it")).status_code == 204
            await writers.reach(20)
            await clients[2].put("SearchParameter/it", json=other)
            await until_complete(*clients, within=60)
            await writers.reach(20)
        for client in clients:
            await check(writers, client, "it", 1)
        assert (await index_status(clients[0]))["parameters"]["it"]["state"] == "ready"
