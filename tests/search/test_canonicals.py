"""Definitions that users store, in PostgreSQL: seen at once, before what is shipped."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fhir_server.context import Context
from fhir_server.outcome import Refusal
from fhir_server.search import canonicals
from fhir_server.search.canonicals import StoredAndShipped
from fhir_server.storage.store import BoundStore, PooledStore
from fhir_server.terminology import Terminology
from tests.terminology.given import SYSTEM, code_system, value_set

CTX = Context(base_url="http://test/fhir")
GENDER = "http://hl7.org/fhir/administrative-gender"


@pytest.fixture(scope="module")
async def store(database: str) -> AsyncIterator[PooledStore]:
    found = PooledStore(database, size=2)
    await found.open()
    yield found
    await found.close()


async def put(client: httpx.AsyncClient, id_: str, resource: dict[str, Any]) -> None:
    path = f"{resource['resourceType']}/{id_}"
    answer = await client.put(path, json=resource | {"id": id_})
    assert answer.status_code in (200, 201), answer.text


async def expanded(store: PooledStore, engine: Terminology, canonical: str) -> list[str]:
    expansion = await engine.expand(CTX, store, canonical)
    return [member.code for member in expansion.page()]


async def test_every_worker_sees_a_change_at_once(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    url = f"{SYSTEM}/changing"
    workers = [Terminology(StoredAndShipped()) for _ in range(2)]
    await put(client, "vs", value_set({"system": url}, url=f"{url}/all"))
    for worker in workers:
        with pytest.raises(Refusal, match=f"CodeSystem '{url}' is not known"):
            await expanded(store, worker, f"{url}/all")
    for codes in (["a"], ["a", "b"], ["c"]):
        await put(client, "cs", code_system(*codes, url=url))
        for worker in workers:
            assert await expanded(store, worker, f"{url}/all") == codes
    assert (await client.delete("CodeSystem/cs")).status_code in (200, 204)
    for worker in workers:
        with pytest.raises(Refusal, match=f"CodeSystem '{url}' is not known"):
            await expanded(store, worker, f"{url}/all")


async def test_a_stored_system_stands_before_the_shipped_one_until_it_is_deleted(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    engine = Terminology(StoredAndShipped())
    all_of = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert len(await expanded(store, engine, all_of)) == 4
    await put(client, "own-gender", code_system("one", url=GENDER))
    assert await expanded(store, engine, all_of) == ["one"]
    await client.delete("CodeSystem/own-gender")
    assert len(await expanded(store, engine, all_of)) == 4


async def test_a_value_set_is_found_by_reference_too(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    engine = Terminology(StoredAndShipped())
    await put(client, "by-id", value_set({"system": GENDER}, url="http://example.org/by-id"))
    for reference in ("ValueSet/by-id", "http://test/fhir/ValueSet/by-id"):
        assert len(await expanded(store, engine, reference)) == 4
    with pytest.raises(Refusal, match="'ValueSet/none' is not known"):
        await expanded(store, engine, "ValueSet/none")
    with pytest.raises(Refusal, match="'CodeSystem/by-id' is not known"):
        await expanded(store, engine, "CodeSystem/by-id")


async def test_versions_and_fragments_are_chosen_among_what_is_stored(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    engine = Terminology(StoredAndShipped())
    url = f"{SYSTEM}/parts"
    for id_, code, version in (("p1", "a", "2"), ("p2", "b", "2"), ("p3", "old", "1")):
        part = code_system(code, url=url, version=version, content="fragment", count=2)
        await put(client, id_, part)
    for version, expected in (("2", {"a", "b"}), ("1", {"old"}), ("", {"a", "b"})):
        index = await engine.code_system(CTX, store, url, version)
        assert set(index.positions) == expected
    found = await engine.find(CTX, store, "CodeSystem", f"{url}|1")
    assert found is not None
    assert found["id"] == "p3"


async def test_what_a_transaction_wrote_and_took_back_is_not_kept(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    engine = Terminology(StoredAndShipped())
    url = f"{SYSTEM}/undone"
    await put(client, "undone", code_system("before", url=url))
    async with (
        store.connection("default") as connection,
        connection.transaction(force_rollback=True),
    ):
        await connection.execute(
            "update tenant_default.resource set version = version + 1, content = "
            "jsonb_set(content, '{concept,0,code}', '\"never\"') where id = 'undone'"
        )
        bound = BoundStore(store, connection)
        index = await engine.code_system(CTX, bound, url)
        assert list(index.positions) == ["never"]
    await put(client, "undone", code_system("after", url=url))
    assert list((await engine.code_system(CTX, store, url)).positions) == ["after"]


async def test_asking_needs_one_connection_at_a_time(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    engine = Terminology(StoredAndShipped())
    async with store.connection("default") as connection, store.connection("default"):
        search = engine.of(CTX, BoundStore(store, connection))
        systems = await search.codes_of("http://hl7.org/fhir/ValueSet/administrative-gender")
    assert systems == {GENDER: {"male", "female", "other", "unknown"}}


async def test_a_url_is_looked_up_by_the_index_of_keys(store: PooledStore) -> None:
    query = canonicals._LOCATE.replace("{s}", "tenant_default")
    async with (
        store.connection("default") as connection,
        connection.transaction(force_rollback=True),
    ):
        await connection.execute("set local enable_seqscan = off")
        cursor = await connection.execute(f"explain {query}", ([1, 2],), prepare=False)
        plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert "resource_keys" in plan
