"""Several applications on one database, as the workers of a server are."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from fhir_server.settings import Settings
from tests.http.serving import serving

_names = itertools.count()


@asynccontextmanager
async def workers(
    database: str, number: int = 1, definition_folders: Sequence[Path] | None = (), **settings: Any
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each worker. Without folders they have only what a test gives them."""
    async with AsyncExitStack() as stack:
        wanted = Settings(database_pool=6, **settings)
        yield [
            await stack.enter_async_context(
                serving(wanted, database, definition_folders=definition_folders)
            )
            for _ in range(number)
        ]


def parameter(code: str, expression: str, type_: str = "token", **more: Any) -> dict[str, Any]:
    """An active SearchParameter on Patient."""
    return {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/SearchParameter/{code}-{next(_names)}",
        "name": code.replace("-", "_"),
        "status": "active",
        "description": "made by a test",
        "code": code,
        "base": ["Patient"],
        "type": type_,
        "expression": expression,
    } | more


@asynccontextmanager
async def holding_writes(database: str) -> AsyncIterator[None]:
    """A transaction that began to write before whatever is changed inside the block."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("select pg_current_xact_id()")
        yield
        await connection.rollback()


async def index_status(client: httpx.AsyncClient) -> dict[str, Any]:
    """The parts of `$index-status` by name; those of parameters by code."""
    answer = await client.get("$index-status")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = {"parameters": {}}
    for item in answer.json()["parameter"]:
        if item["name"] == "parameter":
            parts = _values(item["part"])
            found["parameters"][parts["code"]] = parts
        else:
            found |= _values([item])
    return found


def _values(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        item["name"]: next((item[key] for key in item if key != "name"), None) for item in items
    }


async def until_complete(*clients: httpx.AsyncClient, within: float = 30) -> None:
    """Return when the index is complete and every worker knows."""
    async with asyncio.timeout(within):
        while not (await index_status(clients[0]))["complete"]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        for client in clients:
            while (await client.get("Patient?_id=x")).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def searchable(client: httpx.AsyncClient, query: str, within: float = 30) -> httpx.Response:
    """The answer of a search once it is no more refused for want of an index."""
    async with asyncio.timeout(within):
        while True:
            answer = await client.get(query)
            if answer.status_code == 200:
                return answer
            assert answer.status_code in (400, 503), answer.text
            await asyncio.sleep(0.02)


async def ids(client: httpx.AsyncClient, query: str) -> set[str]:
    """The ids of everything that a search finds."""
    found: set[str] = set()
    url: str | None = query
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        found |= {entry["resource"]["id"] for entry in bundle.get("entry", [])}
        url = next((item["url"] for item in bundle["link"] if item["relation"] == "next"), None)
    return found
