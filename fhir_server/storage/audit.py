"""The audit trail in the database: adding to it, and giving back what was added."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from psycopg import errors

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# Between `seq` and `hash`, as a line has them.
COLUMNS = (
    "recorded", "action", "interaction", "outcome", "reason", "principal", "client", "roles",
    "fhir_user", "address", "door", "request_id", "type", "id", "version", "old_version", "keys",
    "query",
)  # fmt: skip

_ROW = f"seq, {', '.join(COLUMNS)}, hash"


class Damaged(Exception):
    """Lines that are no rows."""


async def lock(connection: Connection, tenant: str) -> None:
    """Be the only one who adds to a tenant's trail until the transaction ends."""
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 2))", (f"audit {tenant}",)
    )


async def last(connection: Connection, tenant: str) -> tuple[int, bytes] | None:
    """Number and hash of the last row; None if there is none."""
    query = "select seq, hash from {s}.audit_event order by seq desc limit 1"
    return await _one(connection, tenant, query)


async def hash_of(connection: Connection, tenant: str, seq: int) -> bytes | None:
    """The hash of a row; None if there is none."""
    row = await _one(connection, tenant, "select hash from {s}.audit_event where seq = %s", (seq,))
    return None if row is None else bytes(row[0])


async def take_changes(connection: Connection, tenant: str, most: int) -> list[str]:
    """The lines that changes have left, in their order, which the caller then adds."""
    cursor = await connection.execute(
        text_of(
            tenant,
            "with taken as (delete from {s}.audit_pending where id in "
            "(select id from {s}.audit_pending order by id limit %s) returning id, line) "
            "select line from taken order by id",
        ),
        (most,),
    )
    return [line for (line,) in await cursor.fetchall()]


async def leave(connection: Connection, tenant: str, lines: Sequence[str]) -> None:
    """Leave lines for whoever takes changes next."""
    await connection.execute(
        text_of(tenant, "insert into {s}.audit_pending (line) select unnest(%s::text[])"),
        (list(lines),),
    )


async def position(connection: Connection, tenant: str, journal: str) -> int:
    """Up to which byte a journal is in the trail."""
    query = "select position from {s}.audit_journal where name = %s"
    row = await _one(connection, tenant, query, (journal,))
    return 0 if row is None else int(row[0])


async def set_position(connection: Connection, tenant: str, journal: str, to: int) -> None:
    """Remember it."""
    await connection.execute(
        text_of(
            tenant,
            "insert into {s}.audit_journal (name, position) values (%s, %s) "
            "on conflict (name) do update set position = excluded.position",
        ),
        (journal, to),
    )


async def forget(connection: Connection, tenant: str, journal: str) -> None:
    """A journal that is there no more."""
    query = text_of(tenant, "delete from {s}.audit_journal where name = %s")
    await connection.execute(query, (journal,))


async def add(connection: Connection, tenant: str, rows: bytes) -> None:
    """Add rows in the text form of COPY. Raises `Damaged`, and the transaction is over."""
    try:
        async with (
            connection.cursor() as cursor,
            cursor.copy(text_of(tenant, f"copy {{s}}.audit_event ({_ROW}) from stdin")) as copy,
        ):
            await copy.write(rows)
    except errors.DataError as error:
        raise Damaged from error


async def checkpoint(
    connection: Connection, tenant: str, link: tuple[int, bytes], at: int, key: str, mac: bytes
) -> None:
    """Keep a signed end of the chain. at: in microseconds since 1970."""
    await connection.execute(
        text_of(
            tenant,
            "insert into {s}.audit_checkpoint (seq, hash, recorded, key, mac) "
            "values (%s, %s, %s, %s, %s) on conflict (seq) do nothing",
        ),
        (*link, at, key, mac),
    )


async def checkpoints(connection: Connection, tenant: str) -> list[tuple[int, bytes, str, bytes]]:
    """Number, hash, name of the key and signature of every checkpoint, in order."""
    query = text_of(tenant, "select seq, hash, key, mac from {s}.audit_checkpoint order by seq")
    cursor = await connection.execute(query)
    return [
        (seq, bytes(hash_), key, bytes(mac)) for seq, hash_, key, mac in await cursor.fetchall()
    ]


async def lines(
    connection: Connection, tenant: str, after: int, up_to: int
) -> AsyncIterator[tuple[int, bytes, bytes]]:
    """Number, line and hash of each row between two numbers, in order."""
    copying = text_of(
        tenant,
        f"copy (select {_ROW} from {{s}}.audit_event where seq > {after:d} and seq <= {up_to:d} "
        "order by seq) to stdout",
    )
    async with connection.cursor() as cursor, cursor.copy(copying) as copy:
        async for row in copy:
            seq, _, rest = bytes(row).partition(b"\t")
            line, _, hash_ = rest.rstrip(b"\n").rpartition(b"\t")
            yield int(seq), line, bytes.fromhex(hash_[3:].decode())


async def _one(
    connection: Connection, tenant: str, query: str, values: tuple[Any, ...] = ()
) -> tuple[Any, ...] | None:
    return await (await connection.execute(text_of(tenant, query), values)).fetchone()


def text_of(tenant: str, template: str) -> str:
    """A statement on a tenant's tables."""
    return template.replace("{s}", schema_name(tenant))
