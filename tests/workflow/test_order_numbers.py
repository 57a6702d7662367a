"""Numbers of orders: given out, kept when they come along, never twice (ORD-1)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection

from fhir_server.app import build
from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.create import create
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.settings import Settings
from fhir_server.storage.counters import take
from fhir_server.storage.numbers import BLOCK
from fhir_server.workflow.canonicals import ACCESSION_NUMBER, IDENTIFIER_TYPE, ORDER_NUMBER
from tests.answers import refusal_of, resource_of
from tests.http.serving import serving
from tests.workflow.ordering import Ward, accession, number, order, ward


@pytest.fixture
async def at(client: httpx.AsyncClient) -> Ward:
    return await ward(client)


@asynccontextmanager
async def workers(database: str, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of several applications on one database, as the workers of a server are."""
    settings = Settings(database_pool=4)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving(settings, database)) for _ in range(count)]


def typed(code: str, value: str, **more: Any) -> dict[str, Any]:
    return {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": code}]}, "value": value} | more


async def test_ord_1_supplied_numbers_are_kept(client: httpx.AsyncClient, at: Ward) -> None:
    mine = [
        {"system": "http://example.org/other", "value": "untouched"},
        typed("PLAC", "P-77", system="http://example.org/placer"),
        {"system": ACCESSION_NUMBER, "value": "A77"},
    ]
    found = resource_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 201)
    mine[2] = typed("ACSN", "A77", system=ACCESSION_NUMBER)
    assert [each for each in found["identifier"] if each["system"] != "urn:dicom:uid"] == mine


async def test_ord_1_a_number_without_a_system_gets_ours(
    client: httpx.AsyncClient, at: Ward
) -> None:
    mine = [typed("PLAC", "P-78")]
    found = resource_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 201)
    assert number(found) == "P-78"
    assert accession(found).startswith("ACC-")


@pytest.mark.parametrize("system", [ORDER_NUMBER, ACCESSION_NUMBER])
async def test_ord_1_a_number_that_is_taken_is_refused(
    client: httpx.AsyncClient, at: Ward, system: str
) -> None:
    mine = [{"system": system, "value": "TAKEN"}]
    first = resource_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 201)
    again = await client.post("ServiceRequest", json=order(at, identifier=mine))
    assert f"ServiceRequest/{first['id']}" in refusal_of(again, 409, "duplicate")


async def test_ord_1_a_number_given_out_is_refused_when_it_is_supplied(
    client: httpx.AsyncClient, at: Ward
) -> None:
    first = resource_of(await client.post("ServiceRequest", json=order(at)), 201)
    mine = [{"system": ORDER_NUMBER, "value": number(first)}]
    again = await client.post("ServiceRequest", json=order(at, identifier=mine))
    refusal_of(again, 409, "duplicate")


async def test_ord_1_a_number_supplied_before_it_is_given_out_is_left_out(
    client: httpx.AsyncClient, at: Ward
) -> None:
    first = resource_of(await client.post("ServiceRequest", json=order(at)), 201)
    prefix, year, last = number(first).split("-")
    ahead = [f"{prefix}-{year}-{int(last) + step:05d}" for step in (1, 2, 4)]
    for value in ahead:
        mine = [{"system": ORDER_NUMBER, "value": value}]
        resource_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 201)
    given = [
        number(resource_of(await client.post("ServiceRequest", json=order(at)), 201))
        for _ in range(2)
    ]
    assert given == [f"{prefix}-{year}-{int(last) + step:05d}" for step in (3, 5)]


async def test_ord_1_one_number_twice_in_a_transaction_is_refused(
    client: httpx.AsyncClient, at: Ward
) -> None:
    mine = [{"system": ORDER_NUMBER, "value": "TWICE"}]
    entry = {
        "resource": order(at, identifier=mine),
        "request": {"method": "POST", "url": "ServiceRequest"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]}
    refusal_of(await client.post("", json=bundle), 409, "duplicate")
    # Nothing of it is left, so the number is free.
    resource_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 201)


async def test_ord_1_two_who_supply_one_number_at_once_get_one_order(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with workers(database, 2) as both:
        for turn in range(5):
            mine = [{"system": ORDER_NUMBER, "value": f"AT-ONCE-{turn}"}]
            answers = await asyncio.gather(
                *(one.post("ServiceRequest", json=order(at, identifier=mine)) for one in both * 3)
            )
            assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]


@pytest.mark.parametrize("value", ["A" * 17, "A\\B", "A\tB", " "])
async def test_ord_1_an_accession_number_fits_dicom(
    client: httpx.AsyncClient, at: Ward, value: str
) -> None:
    mine = [{"system": ACCESSION_NUMBER, "value": value}]
    answer = await client.post("ServiceRequest", json=order(at, identifier=mine))
    assert answer.status_code in (400, 422)
    if len(value.strip()) > 1:
        assert "accession number" in refusal_of(answer, 422)


async def test_ord_1_workers_never_give_out_one_number_twice(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with workers(database, 3) as some:
        answers = await asyncio.gather(
            *(one.post("ServiceRequest", json=order(at)) for one in some for _ in range(60))
        )
    found = [resource_of(answer, 201) for answer in answers]
    assert len({number(each) for each in found}) == len({accession(each) for each in found}) == 180


async def test_ord_1_orders_of_a_block_do_not_wait_for_the_row_that_counts(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    async with workers(database, 1) as (one,):
        resource_of(await one.post("ServiceRequest", json=order(at)), 201)
        async with await AsyncConnection.connect(database) as connection:
            await connection.execute("select from tenant_default.counter for update")
            for _ in range(BLOCK - 1):
                resource_of(await one.post("ServiceRequest", json=order(at)), 201)
            await connection.rollback()


@pytest.fixture(scope="module")
async def engine_in_new_york(database: str) -> AsyncIterator[Engine]:
    settings = Settings(database_pool=4, time_zone="America/New_York", order_number_width=3)
    app = build(settings, database)
    async with app.pages.router.lifespan_context(app.pages):
        yield app.engine


async def ordered(engine_in_new_york: Engine, at: Ward, instant: datetime) -> dict[str, Any]:
    ctx = Context(clock=lambda: instant, base_url="http://test/fhir")
    request = Request("POST", "ServiceRequest", resource=order(at))
    result = await create(engine_in_new_york, ctx, request)
    found: dict[str, Any] = decode(result.body or b"")
    return found


async def test_ord_1_numbers_begin_again_each_year_of_the_zone(
    engine_in_new_york: Engine, at: Ward
) -> None:
    # Three hours before the year ends in New York it has ended in UTC.
    eve = datetime(2041, 1, 1, 2, tzinfo=UTC)
    found = [await ordered(engine_in_new_york, at, eve) for _ in range(2)]
    later = await ordered(engine_in_new_york, at, eve.replace(hour=5))
    assert [number(each) for each in (*found, later)] == [
        "ORD-2040-001",
        "ORD-2040-002",
        "ORD-2041-001",
    ]
    assert accession(later) == "ACC-2041-00001"


async def test_ord_1_numbers_go_on_past_their_width(
    engine_in_new_york: Engine, at: Ward, database: str
) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        for counter in ("order-number", "accession-number"):
            await take(connection, "default", counter, "2050", count=99_999)
    found = await ordered(engine_in_new_york, at, datetime(2050, 6, 1, tzinfo=UTC))
    assert (number(found), accession(found)) == ("ORD-2050-100000", "ACC-2050-100000")
    assert len(accession(found)) <= 16


async def test_ord_1_an_accession_number_that_would_not_fit_is_refused(
    engine_in_new_york: Engine, at: Ward, database: str
) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        await take(connection, "default", "accession-number", "2051", count=9_999_999)
    with pytest.raises(Exception, match="longer than 16"):
        await ordered(engine_in_new_york, at, datetime(2051, 6, 1, tzinfo=UTC))


async def test_ord_1_prefixes_widths_and_systems_are_settings(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    settings = Settings(
        database_pool=2,
        order_number_prefix="RX",
        order_number_width=7,
        order_number_system="http://example.org/rx",
        accession_number_prefix="Q",
        accession_number_width=3,
        accession_number_system="http://example.org/acc",
    )
    async with serving(settings, database) as other:
        found = resource_of(await other.post("ServiceRequest", json=order(at)), 201)
    year = f"{datetime.now(UTC).year}"
    assert number(found, "http://example.org/rx").startswith(f"RX-{year}-0")
    assert len(number(found, "http://example.org/rx")) == len("RX-2026-0000001")
    assert number(found, "http://example.org/acc").startswith(f"Q-{year}-")


async def test_ord_10_a_deleted_order_keeps_its_numbers(
    database: str, client: httpx.AsyncClient, at: Ward
) -> None:
    first = resource_of(await client.post("ServiceRequest", json=order(at)), 201)
    assert (await client.delete(f"ServiceRequest/{first['id']}")).status_code == 204
    mine = [{"system": ORDER_NUMBER, "value": number(first)}]
    refusal_of(await client.post("ServiceRequest", json=order(at, identifier=mine)), 409)
    restored = await client.put(f"ServiceRequest/{first['id']}", json=first)
    assert resource_of(restored, 201)["identifier"] == first["identifier"]
    with psycopg.connect(database) as connection:
        holders = connection.execute(
            "select value from tenant_default.claimed_number where holder = %s order by value",
            (f"ServiceRequest/{first['id']}",),
        ).fetchall()
    uid = number(first, "urn:dicom:uid")
    assert holders == [(accession(first),), (number(first),), (uid,)]
