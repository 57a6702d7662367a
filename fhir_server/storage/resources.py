"""Reading and writing versions of resources.

Functions take a connection, so that they work alone (each statement commits) and inside a
transaction alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, cast

from psycopg.pq import TransactionStatus

from fhir_server.storage.seal import Seal, opened, sealed
from fhir_server.storage.statements import LOCK_NAMES, READ_TOGETHER, Kinds, Statements
from fhir_server.storage.store import Connection

_LOCKS = 4096
_FIRST_LOCK = 0x46484952 << 32


class Contained(NamedTuple):
    """What is searchable in a contained resource, beside ordered values (`storage.schema`).

    place: among the contained ones of its container, from 1. reference_key: of `Type/id#id`.
    """

    place: int
    type: str
    id: str
    reference_key: int
    keys: list[int]
    targets: list[int]

    def row(self) -> tuple[int, str, str, int, str, str]:
        """What comes after the container in a row."""
        return (*self[:4], array(self.keys), array(self.targets))


class Values(Protocol):
    """What is searchable in a version: hashed keys and ordered values by parameter hash."""

    keys: list[int]
    targets: list[int]
    strings: list[tuple[int, str]]
    dates: list[tuple[int, int, int]]
    numbers: list[tuple[int, int, Decimal, Decimal]]
    texts: list[tuple[int, str]]
    contained: list[Contained]


@dataclass(slots=True)
class NoValues:
    """The search values of a deleted resource: none."""

    keys: list[int]
    targets: list[int]
    strings: list[tuple[int, str]]
    dates: list[tuple[int, int, int]]
    numbers: list[tuple[int, int, Decimal, Decimal]]
    texts: list[tuple[int, str]]
    contained: list[Contained]


@dataclass(slots=True)
class Stored:
    """A version as it stands in the database; `content` is None for a deletion."""

    rid: int
    type: str
    id: str
    version: int
    last_updated: datetime
    method: str
    content: bytes | None


@dataclass(slots=True)
class Written(Stored):
    """A version to be written, with what search needs.

    generation: of the search parameters that `values` were made with.
    audit: the event of the trail that is stored with it, as a line; None for none.
    """

    reference_key: int
    values: Values
    generation: int = 0
    audit: str | None = None


def deleted_values() -> NoValues:
    """The search values of a deleted resource."""
    return NoValues([], [], [], [], [], [], [])


async def read(
    connection: Connection, statements: Statements, type_: str, id_: str
) -> tuple[int, datetime, bytes | None] | None:
    """Version, time and JSON of the current version; None when there never was one."""
    cursor = await connection.execute(statements.read, (type_, id_), binary=True)
    row = cast("tuple[int, datetime, bytes | None] | None", await cursor.fetchone())
    if row is None or statements.seal is None:
        return row
    return row[0], row[1], opened(statements.seal, type_, id_, row[2])


async def current(
    connection: Connection, statements: Statements, type_: str, id_: str
) -> Stored | None:
    """The current version, a deletion included."""
    return await _one(connection, statements, statements.current, (type_, id_))


async def version(
    connection: Connection, statements: Statements, type_: str, id_: str, number: int
) -> Stored | None:
    """One version, current or superseded."""
    parameters = {"type": type_, "id": id_, "version": number}
    return await _one(connection, statements, statements.read_version, parameters)


async def lock_current(
    connection: Connection, statements: Statements, identities: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Stored]:
    """The current versions of those that exist, locked in one order until the transaction ends."""
    wanted = sorted(set(identities))
    if not wanted:
        return {}
    types, ids = [type_ for type_, _ in wanted], [id_ for _, id_ in wanted]
    rows = await _many(connection, statements, statements.current_many, (types, ids))
    return {(row.type, row.id): row for row in rows}


async def read_many(
    connection: Connection, statements: Statements, identities: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], bytes]:
    """The JSON of the current versions of those that exist."""
    wanted = sorted(set(identities))
    found: dict[tuple[str, str], bytes] = {}
    for start in range(0, len(wanted), READ_TOGETHER):
        some = wanted[start : start + READ_TOGETHER]
        query = statements.read_some[len(some) - 1]
        values = [text for identity in some for text in identity]
        cursor = await connection.execute(query, values, binary=True)
        found |= {(type_, id_): content for type_, id_, content in await cursor.fetchall()}
    if (seal := statements.seal) is not None:
        return {identity: seal.open(*identity, json) for identity, json in found.items()}
    return found


async def lock_names(connection: Connection, names: Iterable[int]) -> None:
    """Take the advisory locks of `names`, lowest first, until the transaction ends.

    Names share a bounded number of locks, because PostgreSQL keeps all locks of all connections
    in one table of a fixed size: a few Bundles with thousands of conditions would fill it.
    """
    ordered = sorted({_FIRST_LOCK + name % _LOCKS for name in names})
    if ordered:
        await connection.execute(LOCK_NAMES, (ordered,))


async def matching_keys(
    connection: Connection, statements: Statements, keys: Sequence[int]
) -> dict[int, list[str]]:
    """Up to two ids of resources for each search key: enough to tell none, one and several."""
    found: dict[int, list[str]] = {key: [] for key in keys}
    if found:
        # Planned each time: a plan made while the table was small reads all of it later.
        query = statements.matching_keys
        cursor = await connection.execute(query, {"keys": list(found)}, prepare=False)
        for key, lowest, highest in await cursor.fetchall():
            found[key] = sorted({lowest, highest})
    return found


async def holding(
    connection: Connection, statements: Statements, keys: Sequence[int], excluded: Sequence[str]
) -> list[tuple[str, str]]:
    """Type and id of each resource that has any of the search keys, but for excluded types."""
    cursor = await connection.execute(
        statements.holding, (list(keys), list(excluded)), prepare=False
    )
    return [(type_, id_) for type_, id_ in await cursor.fetchall()]


async def create(connection: Connection, statements: Statements, row: Written) -> bool:
    """Store a first version.

    False, and nothing stored, when the identity is taken or the generation over.
    """
    query = statements.create[_kinds(row)]
    cursor = await connection.execute(query, _parameters(row, statements.seal))
    return await cursor.fetchone() is not None


async def replace(
    connection: Connection, statements: Statements, row: Written, expected: int
) -> bool:
    """Store the next version and keep the old one in history.

    expected: the version that must still be current; False, and nothing stored, when it is not,
        when the generation is over, or when its entries were read anew at the same moment.
    """
    parameters = _parameters(row, statements.seal) | {"expected": expected}
    query = statements.replace[_kinds(row)]
    cursor = await connection.execute(query, parameters)
    return await cursor.fetchone() is not None


def commits_at_once(connection: Connection) -> bool:
    """Whether each statement on a connection commits by itself."""
    return connection.info.transaction_status == TransactionStatus.IDLE


async def generation(connection: Connection, statements: Statements) -> int:
    """The generation of the search parameters now."""
    return await _number(connection, statements.generation)


async def pinned_generation(connection: Connection, statements: Statements) -> int:
    """The generation that everything this transaction stores from now on may be made with.

    Whoever makes the next one waits for this transaction before reading resources again.
    """
    return await _number(connection, statements.pinned_generation)


async def create_many(
    connection: Connection, statements: Statements, rows: Sequence[Written]
) -> None:
    """Store many first versions in a few statements.

    Raises psycopg.errors.UniqueViolation when an identity is taken.
    """
    seal = statements.seal
    await _copy(connection, statements.copy_resource, (_resource_row(row, seal) for row in rows))
    values = [(row.rid, row.values) for row in rows]
    strings = ((rid, *item) for rid, value in values for item in value.strings)
    await _copy(connection, statements.copy_strings, strings)
    dates = ((rid, *item) for rid, value in values for item in value.dates)
    await _copy(connection, statements.copy_dates, dates)
    numbers = ((rid, *item) for rid, value in values for item in value.numbers)
    await _copy(connection, statements.copy_numbers, numbers)
    contained = ((rid, *item.row()) for rid, value in values for item in value.contained)
    await _copy(connection, statements.copy_contained, contained)
    audits = ((row.audit,) for row in rows if row.audit is not None)
    await _copy(connection, statements.copy_audits, audits)


async def history_page(
    connection: Connection, statements: Statements, query: str, parameters: dict[str, Any]
) -> list[Stored]:
    """Versions, newest first, by one of the history statements."""
    return await _many(connection, statements, query, parameters)


async def count_versions(connection: Connection, query: str, parameters: dict[str, Any]) -> int:
    """How many versions there are, by one of the history counts."""
    cursor = await connection.execute(query, parameters, prepare=False)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def counts_by_type(connection: Connection, statements: Statements) -> dict[str, int]:
    """How many resources there are of each type that has any."""
    cursor = await connection.execute(statements.counts_by_type)
    return dict(await cursor.fetchall())


async def _number(connection: Connection, query: str) -> int:
    cursor = await connection.execute(query)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


def _stored(row: tuple[Any, ...], seal: Seal | None) -> Stored:
    rid, type_, id_, number, last_updated, method, content = row
    json = None if content is None else opened(seal, type_, id_, content.encode())
    return Stored(rid, type_, id_, number, last_updated, method, json)


async def _one(
    connection: Connection, statements: Statements, query: str, parameters: Any
) -> Stored | None:
    cursor = await connection.execute(query, parameters, binary=True)
    row = await cursor.fetchone()
    return None if row is None else _stored(row, statements.seal)


async def _many(
    connection: Connection, statements: Statements, query: str, parameters: Any
) -> list[Stored]:
    cursor = await connection.execute(query, parameters, binary=True, prepare=False)
    return [_stored(row, statements.seal) for row in await cursor.fetchall()]


def array(values: Iterable[object]) -> str:
    """A PostgreSQL array literal of numbers: several times cheaper to send than a list."""
    return "{" + ",".join(map(str, values)) + "}"


def exact(content: bytes | None) -> str | None:
    """The text to keep beside jsonb, which would turn 1.0E+3 into 1000 and -0.0 into 0.0."""
    if content is None or (b"E+" not in content and b":-0" not in content):
        return None
    return content.decode()


def _kinds(row: Written) -> Kinds:
    values = row.values
    kinds = (values.strings, values.dates, values.numbers, values.contained, row.audit)
    return tuple(map(bool, kinds))


def _parameters(row: Written, seal: Seal | None) -> dict[str, Any]:
    content = sealed(seal, row.type, row.id, row.content)
    parameters: dict[str, Any] = {
        "rid": row.rid,
        "type": row.type,
        "id": row.id,
        "version": row.version,
        "last_updated": row.last_updated,
        "method": row.method,
        "reference_key": row.reference_key,
        "keys": array(row.values.keys),
        "targets": array(row.values.targets),
        "content": None if content is None else content.decode(),
        "exact": exact(content),
        "generation": row.generation,
    }
    if row.audit is not None:
        parameters["audit"] = row.audit
    if row.values.strings:
        hashes, texts = zip(*row.values.strings, strict=True)
        parameters |= {"string_parameters": array(hashes), "string_values": list(texts)}
    if row.values.dates:
        parameters |= columns(DATE_COLUMNS, row.values.dates)
    if row.values.numbers:
        parameters |= columns(NUMBER_COLUMNS, row.values.numbers)
    if row.values.contained:
        found = zip(*(item.row() for item in row.values.contained), strict=True)
        parameters |= zip(CONTAINED_COLUMNS, map(list, found), strict=True)
    return parameters


DATE_COLUMNS = ("date_parameters", "date_lows", "date_highs")
NUMBER_COLUMNS = ("number_parameters", "number_units", "number_lows", "number_highs")
CONTAINED_COLUMNS = tuple(
    f"contained_{name}" for name in ("places", "types", "ids", "references", "keys", "targets")
)


def columns(names: Sequence[str], rows: Iterable[tuple[object, ...]]) -> dict[str, str]:
    """Rows of numbers as parameters: an array literal for each name."""
    found = zip(*rows, strict=True)
    return {name: array(column) for name, column in zip(names, found, strict=True)}


def _resource_row(row: Written, seal: Seal | None) -> tuple[Any, ...]:
    content = sealed(seal, row.type, row.id, row.content)
    return (
        row.rid,
        row.type,
        row.id,
        row.version,
        row.last_updated,
        row.method,
        row.reference_key,
        array(row.values.keys),
        array(row.values.targets),
        None if content is None else content.decode(),
        exact(content),
    )


async def _copy(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write_row(first)
        for row in iterator:
            await copy.write_row(row)
