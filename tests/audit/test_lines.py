"""Events as lines, which PostgreSQL takes and gives back as they were written."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from fhir_server.audit.chain import Link, chained
from fhir_server.audit.lines import LONGEST, damaged, is_row, line_of
from fhir_server.audit.trail import EXECUTE, READ, Event
from fhir_server.context import Context
from fhir_server.security.principal import Principal
from fhir_server.storage import audit
from fhir_server.storage.store import Connection

ANY_TEXT = st.text(max_size=40)
EVENTS = st.builds(
    Event,
    st.just(READ),
    st.just("read"),
    st.just("Patient"),
    ANY_TEXT,
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**9 - 1),
    st.lists(ANY_TEXT, max_size=3),
    ANY_TEXT,
    outcome=st.just("0"),
    reason=ANY_TEXT,
)
CONTEXTS = st.builds(
    Context,
    principal=st.builds(Principal, ANY_TEXT, st.just(frozenset({"doctor", "nurse"}))),
    address=ANY_TEXT,
    request_id=ANY_TEXT,
)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    async with await AsyncConnection.connect(database, autocommit=True) as found:
        yield found


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ctx=CONTEXTS, event=EVENTS)
async def test_the_database_gives_back_each_line_as_it_was(
    database: str, ctx: Context, event: Event
) -> None:
    line = line_of(ctx, event).encode()
    assert is_row(line)
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        last = await audit.last(connection, "default")
        link = Link(*last) if last else Link()
        rows, after = chained(link, [line])
        await audit.add(connection, "default", rows)
        found = [each async for each in audit.lines(connection, "default", link.seq, after.seq)]
    assert found == [(after.seq, line, after.hash)]


@given(st.binary(max_size=200))
def test_what_is_no_row_becomes_one_that_tells_what_is_left(data: bytes) -> None:
    assert is_row(damaged(data))


@pytest.mark.parametrize("cut", [1, 10, 50, 100])
def test_a_line_that_is_cut_is_no_row(cut: int) -> None:
    line = line_of(Context(), Event(READ, "read", "Patient", "a", 1, query="a=b")).encode()
    assert is_row(line)
    assert not is_row(line[: -20 - cut])


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    line = line_of(Context(), Event(EXECUTE, "search", "Patient", query="x" * (LONGEST + 7)))
    assert line.endswith("x and 7 more characters")


def test_the_time_is_the_one_of_the_context() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
    line = line_of(Context(clock=lambda: at), Event(READ, "read"))
    assert line.startswith("1795262400123456\t")


async def test_lines_that_are_no_rows_are_refused_together(connection: Connection) -> None:
    with pytest.raises(audit.Damaged):
        async with connection.transaction():
            await audit.add(connection, "default", b"1\tnonsense\n")
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.parametrize(
    ("key", "fits"), [(2**63 - 1, True), (-(2**63), True), (2**63, False), (-(2**63) - 1, False)]
)
def test_a_key_has_64_bits(key: int, fits: bool) -> None:
    line = line_of(Context(), Event(READ, "read")).replace("{}", f"{{1,{key}}}")
    assert is_row(line.encode()) is fits
