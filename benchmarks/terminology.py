"""Terminology on 100,000 concepts in PostgreSQL: the first question, and those after it.

usage: python -m benchmarks.terminology

Starts an embedded PostgreSQL and a server in this process, stores a CodeSystem of 100,000 concepts
and value sets on it, and asks each question 100 times.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from fhir_server.app import build
from fhir_server.context import Context
from fhir_server.search.canonicals import StoredAndShipped
from fhir_server.settings import Settings
from fhir_server.storage.embedded import EmbeddedPostgres
from fhir_server.storage.migrate import migrate
from fhir_server.storage.store import PooledStore
from fhir_server.terminology import Terminology

CONCEPTS = 100_000
SYSTEM = "http://example.org/large"
_TIMES = 100
_FIRST = ["acute", "chronic", "left", "right", "upper", "lower", "primary", "secondary"]
_WORDS = [*_FIRST, "blood", "pressure", "kidney", "heart", "failure", "syndrome", "infection"]
_WORDS += ["disorder", "serum", "plasma", "type"]

Question = Callable[[], Awaitable[Any]]


def main() -> None:
    """Run every question and print a table."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        postgres = EmbeddedPostgres(Path(directory))
        url = postgres.start()
        migrate(url)
        asyncio.run(_run(url))
        postgres.stop()


async def _run(url: str) -> None:
    await _store_all(url)
    store = PooledStore(url, size=4)
    await store.open()
    print(f"{'question':40} {'first':>9} {'median':>9} {'p95':>9}   ms")
    for name, question in _questions(Terminology(StoredAndShipped()), store).items():
        first = await _timed(question)
        times = [await _timed(question) for _ in range(_TIMES)]
        p95 = statistics.quantiles(times, n=20)[-1]
        print(f"{name:40} {first:9.2f} {statistics.median(times):9.2f} {p95:9.2f}")
    await store.close()


async def _timed(question: Question) -> float:
    started = time.perf_counter()
    await question()
    return (time.perf_counter() - started) * 1000


def _questions(engine: Terminology, store: PooledStore) -> dict[str, Question]:
    ctx = Context()
    genders = "http://hl7.org/fhir/ValueSet/administrative-gender"

    def page(text: str) -> Question:
        async def ask() -> None:
            (await engine.expand(ctx, store, f"{SYSTEM}/all", text=text)).page(0, 20)

        return ask

    return {
        "expand, first page": page(""),
        "expand, filter 'kidn'": page("kidn"),
        "expand, filter 'acute blood'": page("acute blood"),
        "expand, filter '9999'": page("9999"),
        "expand, filter '1'": page("1"),
        "member of 10,000 listed codes": lambda: engine.member(
            ctx, store, f"{SYSTEM}/ten", SYSTEM, "50000"
        ),
        "member of a shipped value set": lambda: engine.member(
            ctx, store, genders, "http://hl7.org/fhir/administrative-gender", "male"
        ),
        "codes of 11,111 below one": lambda: engine.codes_of(ctx, store, f"{SYSTEM}/below"),
        "descendants, 11,111": lambda: engine.descendants(ctx, store, SYSTEM, "3"),
        "subsumes": lambda: engine.subsumes(ctx, store, SYSTEM, "3", "39999"),
        "lookup": lambda: engine.lookup(ctx, store, SYSTEM, "39999"),
    }


async def _store_all(url: str) -> None:
    app = build(Settings(max_body_bytes=100_000_000), url)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(transport=transport, base_url="http://test/fhir/", timeout=600) as client,
    ):
        for resource in (_code_system(), *_value_sets()):
            path = f"{resource['resourceType']}/{resource['id']}"
            (await client.put(path, json=resource)).raise_for_status()


def _code_system() -> dict[str, Any]:
    """Ten concepts below each, with a display of five words and a number."""
    draw = random.Random(1)
    concepts: list[dict[str, Any]] = []
    for number in range(CONCEPTS):
        display = f"{' '.join(draw.sample(_WORDS, 5))} {number}"
        found: dict[str, Any] = {"code": str(number), "display": display}
        if number:
            found["property"] = [{"code": "parent", "valueCode": str(number // 10)}]
        concepts.append(found)
    return _definition("CodeSystem", "large", SYSTEM) | {"content": "complete", "concept": concepts}


def _value_sets() -> list[dict[str, Any]]:
    listed = [{"code": str(10 * number)} for number in range(CONCEPTS // 10)]
    below = [{"property": "concept", "op": "is-a", "value": "3"}]
    includes: dict[str, dict[str, Any]] = {
        "all": {},
        "ten": {"concept": listed},
        "below": {"filter": below},
    }
    return [
        _definition("ValueSet", name, f"{SYSTEM}/{name}")
        | {"compose": {"include": [{"system": SYSTEM} | include]}}
        for name, include in includes.items()
    ]


def _definition(type_: str, id_: str, url: str) -> dict[str, Any]:
    return {"resourceType": type_, "id": id_, "url": url, "status": "active"}


if __name__ == "__main__":
    main()
