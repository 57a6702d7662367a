"""A worker that has not heard of a change still writes what the newest parameters ask for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.context import Context
from fhir_server.indexing.changes import Change, take_effect
from fhir_server.indexing.indexes import Indexes
from fhir_server.indexing.startup import prepare
from fhir_server.interactions.batch import batch_or_transaction
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.engine import Engine, Limits
from fhir_server.interactions.registry import INTERACTIONS
from fhir_server.interactions.request import Request
from fhir_server.interactions.routing import Router
from fhir_server.interactions.update import update
from fhir_server.search.canonicals import StoredAndShipped
from fhir_server.search.conditions import Circumstances
from fhir_server.search.extract import Extractor
from fhir_server.search.keys import key, token_any_system
from fhir_server.spec import definitions
from fhir_server.storage.store import PooledStore
from fhir_server.terminology import Terminology
from fhir_server.validation.stored import Validation
from fhir_server.validation.structure import StructureCheck
from tests.indexing.workers import parameter

CTX = Context()
BASE_URL = "http://localhost:8080/fhir"


@pytest.fixture(scope="module")
async def deaf(database: str) -> AsyncIterator[Engine]:
    """The engine of a process that nobody tells anything."""
    store = PooledStore(database, size=4)
    await store.open()
    zone = ZoneInfo("UTC")
    indexes = Indexes(partial(Extractor, base_url=BASE_URL, zone=zone))
    async with store.connection("default") as connection:
        await prepare(connection, "default", datetime.now(UTC))
        await indexes.reload(connection, "default")
    structure = StructureCheck(definitions())
    sources = StoredAndShipped()
    terminology = Terminology(sources)
    yield Engine(
        store=store,
        definitions=definitions(),
        structure=structure,
        indexes=indexes,
        where=Circumstances(BASE_URL, zone),
        limits=Limits(),
        router=Router(INTERACTIONS, definitions().resource_types),
        terminology=terminology,
        validation=Validation(sources, terminology, definitions(), structure),
    )
    await store.close()


async def added(engine: Engine, code: str) -> None:
    """A parameter that another worker takes up."""
    change = Change(f"SearchParameter/{code}", parameter(code, "Patient.gender"))
    generation = engine.index(CTX).generation
    async with engine.store.transaction("default") as connection:
        assert await take_effect(connection, "default", [change], datetime.now(UTC))
    assert engine.index(CTX).generation == generation


def patient(id_: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "gender": "male"} | more


def request(resource: dict[str, Any]) -> Request:
    return Request("PUT", type="Patient", id=resource["id"], resource=resource)


async def found_by(engine: Engine, code: str) -> set[str]:
    async with engine.store.connection("default") as connection:
        cursor = await connection.execute(
            "select id from tenant_default.resource where %s = any(keys)",
            (key(f"Patient|{code}", token_any_system("male")),),
        )
        return {str(id_) for (id_,) in await cursor.fetchall()}


async def test_an_update_and_one_that_creates(deaf: Engine) -> None:
    await update(deaf, CTX, request(patient("u")))
    await added(deaf, "of-update")
    await update(deaf, CTX, request(patient("u", active=True)))
    await added(deaf, "of-new")
    await update(deaf, CTX, request(patient("n")))
    assert await found_by(deaf, "of-update") == {"u", "n"}
    assert await found_by(deaf, "of-new") == {"n"}


async def test_a_create(deaf: Engine) -> None:
    await added(deaf, "of-create")
    result = await create(deaf, CTX, Request("PUT", type="Patient", resource=patient("x")))
    assert await found_by(deaf, "of-create") == {result.id}


async def test_a_transaction_that_creates_and_updates(deaf: Engine) -> None:
    await update(deaf, CTX, request(patient("t1")))
    await added(deaf, "of-bundle")
    entries = [
        {"resource": item, "request": {"method": "PUT", "url": f"Patient/{item['id']}"}}
        for item in (patient("t1", active=False), patient("t2"), patient("t3"))
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await batch_or_transaction(deaf, CTX, Request("POST", resource=bundle))
    assert await found_by(deaf, "of-bundle") == {"t1", "t2", "t3"}


async def test_a_database_that_was_put_back_to_an_earlier_state(deaf: Engine) -> None:
    await added(deaf, "of-old-state")
    await update(deaf, CTX, request(patient("o1")))
    async with deaf.store.connection("default") as connection:
        await connection.execute("update tenant_default.index_state set generation = 0")
        await connection.execute("delete from tenant_default.search_parameter")
    await update(deaf, CTX, request(patient("o2")))
    assert deaf.index(CTX).generation == 0
    assert await found_by(deaf, "of-old-state") == {"o1"}


async def test_a_delete_needs_no_parameters(deaf: Engine) -> None:
    await update(deaf, CTX, request(patient("d")))
    await added(deaf, "of-delete")
    result = await delete(deaf, CTX, Request("PUT", type="Patient", id="d"))
    assert result.version == 2
    assert await found_by(deaf, "of-delete") == set()
