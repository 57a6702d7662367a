"""Validation by the profiles and value sets that a tenant stores."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fhir_server.context import Context
from fhir_server.search.canonicals import StoredAndShipped
from fhir_server.spec import definitions
from fhir_server.storage import definition_state
from fhir_server.storage.store import BoundStore, PooledStore
from fhir_server.terminology import Terminology
from fhir_server.validation.stored import Validation
from fhir_server.validation.structure import StructureCheck

CTX = Context()
URL = "http://example.org/fhir/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"


def profile(name: str, *elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A profile on Patient."""
    return {
        "resourceType": "StructureDefinition",
        "id": name,
        "url": URL + name,
        "name": name,
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": CORE + "Patient",
        "derivation": "constraint",
        "differential": {
            "element": [{"id": each["path"], **each} for each in ({"path": "Patient"}, *elements)]
        },
    } | more


def needs(element: str) -> dict[str, Any]:
    return {"path": f"Patient.{element}", "min": 1}


def validation() -> Validation:
    """That of a process that nobody tells anything."""
    sources = StoredAndShipped()
    facts = definitions()
    return Validation(sources, Terminology(sources), facts, StructureCheck(facts))


@pytest.fixture(scope="module")
async def store(database: str) -> AsyncIterator[PooledStore]:
    found = PooledStore(database, size=4)
    await found.open()
    yield found
    await found.close()


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text


async def rules(
    validation: Validation, store: PooledStore | BoundStore, canonical: str, **patient: Any
) -> set[str]:
    """The rules that a patient breaks."""
    report = await validation.check(CTX, store, {"resourceType": "Patient"} | patient, [canonical])
    assert not report.questions
    return {each.rule for each in report.findings if each.severity == "error"}


async def test_a_profile_that_changes_counts_at_once_in_every_process(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    processes = [validation(), validation()]
    assert [await rules(each, store, URL + "p") for each in processes] == [{"profile"}] * 2
    await put(client, profile("p", needs("gender")))
    assert [await rules(each, store, URL + "p") for each in processes] == [{"min"}] * 2
    await put(client, profile("p", {"path": "Patient.gender", "max": "0"}))
    assert [await rules(each, store, URL + "p") for each in processes] == [set()] * 2
    assert [await rules(each, store, URL + "p", gender="male") for each in processes] == [
        {"max"}
    ] * 2
    assert (await client.delete("StructureDefinition/p")).status_code == 204
    assert [await rules(each, store, URL + "p") for each in processes] == [{"profile"}] * 2


async def test_a_version_is_found_or_not(client: httpx.AsyncClient, store: PooledStore) -> None:
    await put(client, profile("v", needs("gender"), version="1"))
    await put(client, profile("v-2", needs("name"), version="2", url=URL + "v"))
    one = validation()
    patient = {"gender": "male"}
    assert await rules(one, store, URL + "v|1", **patient) == set()
    assert await rules(one, store, URL + "v|2", **patient) == {"min"}
    assert await rules(one, store, URL + "v", **patient) == {"min"}
    assert await rules(one, store, URL + "v|3", **patient) == {"profile"}


async def test_what_profiles_refer_to_is_found(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    await put(client, profile("base", needs("gender")))
    await put(client, profile("derived", needs("name"), baseDefinition=URL + "base"))
    report = await validation().check(CTX, store, {"resourceType": "Patient"}, [URL + "derived"])
    missing = {each.diagnostics for each in report.findings if each.rule == "min"}
    assert len(missing) == 2, report.findings


async def test_a_stored_definition_of_a_type_of_r4_replaces_nothing(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    await put(client, profile("Patient", needs("gender"), url=CORE + "Patient"))
    assert await rules(validation(), store, CORE + "Patient") == set()


async def test_codes_are_answered_from_stored_value_sets(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    value_set = {
        "resourceType": "ValueSet",
        "id": "languages",
        "url": "http://example.org/fhir/ValueSet/languages",
        "status": "active",
        "compose": {"include": [{"system": "urn:test", "concept": [{"code": "a"}]}]},
    }
    bound = {
        "path": "Patient.maritalStatus",
        "binding": {"strength": "required", "valueSet": value_set["url"]},
    }
    await put(client, value_set)
    await put(client, profile("bound", bound))
    one = validation()
    status = {"coding": [{"system": "urn:test", "code": "a"}]}
    assert await rules(one, store, URL + "bound", maritalStatus=status) == set()
    value_set["compose"]["include"][0]["concept"][0]["code"] = "b"  # type: ignore[index]
    await put(client, value_set)
    assert await rules(one, store, URL + "bound", maritalStatus=status) == {"binding"}


async def test_what_a_transaction_took_back_never_counts(
    client: httpx.AsyncClient, store: PooledStore
) -> None:
    await put(client, profile("t", needs("gender")))
    one = validation()
    schema = store.statements(CTX.tenant).schema
    take_away = (
        f"update {schema}.resource set version = version + 1, exact = null, content = "
        "jsonb_set(content, '{differential,element,1,min}', '0') "
        "where type = 'StructureDefinition' and id = 't'"
    )
    async with store.connection("default") as connection:
        async with connection.transaction(force_rollback=True):
            await connection.execute(take_away)
            await definition_state.bump(connection, CTX.tenant, ["StructureDefinition"])
            assert await rules(one, BoundStore(store, connection), URL + "t") == set()
        assert await rules(one, BoundStore(store, connection), URL + "t") == {"min"}


async def test_thousands_of_unknown_extensions_take_one_question(
    store: PooledStore,
) -> None:
    extensions = [{"url": f"http://example.org/e{n}", "valueCode": "x"} for n in range(5_000)]
    patient = {"resourceType": "Patient", "extension": extensions}
    report = await validation().check(CTX, store, patient)
    assert report.valid
