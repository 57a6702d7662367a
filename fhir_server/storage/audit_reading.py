"""Reading the audit trail: a page by time, one event, how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.storage.audit import COLUMNS, text_of
from fhir_server.storage.resources import array
from fhir_server.storage.store import Connection

_COLUMNS = f"e.seq, {', '.join(f'e.{name}' for name in COLUMNS)}"

# Before the first event and after the last one.
FIRST, LAST = (-(2**63), 0), (2**63 - 1, 2**63 - 1)


class Row(NamedTuple):
    """One event, as the columns of `audit_event`."""

    seq: int
    recorded: int
    action: str
    interaction: str
    outcome: str
    reason: str
    principal: str
    client: str
    roles: str
    fhir_user: str
    address: str
    door: str
    request_id: str
    type: str
    id: str
    version: int
    old_version: int
    keys: list[int]
    query: str


@dataclass(frozen=True, slots=True)
class Test:
    """Something that an event has to meet. kind: of `_TESTS`; column: where that takes one."""

    kind: str
    value: Any
    column: str = ""


_TESTS = {
    "is": "e.{column} = any(%s::text[])",
    "is not": "e.{column} <> all(%s::text[])",
    "number": "e.seq = any(%s::bigint[])",
    "begins": "lower(e.{column}) like any(%s::text[])",
    "role": "string_to_array(e.roles, ',') && %s::text[]",
    "about": "e.keys && %s::bigint[]",
    "from": "e.recorded >= %s",
    "before": "e.recorded < %s",
    "never": "%s::text is null",
}
NEVER = Test("never", "")


def is_one(column: str, values: Sequence[str]) -> Test:
    """A column has one of some values."""
    return Test("is", list(values), column)


def begins(column: str, starts: Sequence[str]) -> Test:
    """A column begins with one of some texts, whatever their case."""
    return Test("begins", [_pattern(each.lower()) for each in starts], column)


def about(keys: Sequence[int]) -> Test:
    """It is about one of what some keys name."""
    return Test("about", array(keys))


async def page(
    connection: Connection,
    tenant: str,
    tests: Sequence[Test],
    after: tuple[int, int],
    limit: int,
    *,
    oldest_first: bool = False,
) -> list[Row]:
    """Events that meet all tests, from a position (time and number) on."""
    word, compare = ("", ">") if oldest_first else (" desc", "<")
    position = f"(e.recorded, e.seq) {compare} (%s, %s)"
    order = f"order by e.recorded{word}, e.seq{word} limit %s"
    where = " and ".join([*map(_sql, tests), position])
    values = [*(test.value for test in tests), *after, limit]
    if any(test.kind == "about" for test in tests):
        # Found by what they are about and then sorted, rather than met on a walk through time.
        text = (
            f"with found as materialized (select e.seq, e.recorded from {{s}}.audit_event e "
            f"where {where}), e as (select * from found e {order}) select {_COLUMNS} "
            f"from {{s}}.audit_event e join e k using (seq) order by k.recorded{word}, k.seq{word}"
        )
    else:
        text = f"select {_COLUMNS} from {{s}}.audit_event e where {where} {order}"
    cursor = await connection.execute(text_of(tenant, text), values, prepare=False)
    return [Row(*row) for row in await cursor.fetchall()]


async def count(connection: Connection, tenant: str, tests: Sequence[Test]) -> int:
    """How many events meet all tests."""
    where = " and ".join([*map(_sql, tests), "true"])
    text = f"select count(*) from {{s}}.audit_event e where {where}"
    values = [test.value for test in tests]
    cursor = await connection.execute(text_of(tenant, text), values, prepare=False)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def names(connection: Connection, tenant: str, keys: Sequence[int]) -> dict[int, str]:
    """`Type/id` of the resources that keys name, as far as they are or were here."""
    if not keys:
        return {}
    text = (
        "select reference_key, type || '/' || id from {s}.resource "
        "where reference_key = any(%s::bigint[])"
    )
    cursor = await connection.execute(text_of(tenant, text), (array(keys),), prepare=False)
    return dict(await cursor.fetchall())


async def any_event(connection: Connection, tenant: str) -> bool:
    """Whether there is a trail."""
    cursor = await connection.execute(
        text_of(tenant, "select exists (select from {s}.audit_event)")
    )
    return await cursor.fetchone() == (True,)


def _sql(test: Test) -> str:
    assert not test.column or test.column in COLUMNS
    return _TESTS[test.kind].replace("{column}", test.column)


def _pattern(start: str) -> str:
    escaped = start.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{escaped}%"
