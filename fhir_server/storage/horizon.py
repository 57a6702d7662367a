"""Waiting for transactions that may not have seen a change, as CREATE INDEX CONCURRENTLY does."""

from collections.abc import Awaitable, Callable
from typing import Any

from fhir_server.storage.store import Connection

# A snapshot that does not see a transaction which has ended since has an older one among those it
# counts as running, and its session shows that as `backend_xmin` while it uses the snapshot.
_OLD_SNAPSHOTS = """
select exists (
  select from pg_stat_activity
  where pid <> pg_backend_pid() and datname = current_database()
    and backend_type = 'client backend' and age(backend_xmin) > age(%s::text::xid8::xid))"""
# A snapshot's own upper bound would not do: it is above what has ended, not above what runs.
_NEXT_TRANSACTION = "select pg_current_xact_id()::text"
_ALL_ENDED = "select pg_snapshot_xmin(pg_current_snapshot()) >= %s::text::xid8"


async def older_transactions_end(
    connection: Connection, pause: Callable[[], Awaitable[None]]
) -> None:
    """Return when nobody can store what was worked out before a change that is committed by now.

    connection: one on which each statement commits by itself.
    pause: awaited between two looks.
    Statements that began without seeing the change are waited for first: until one is over, its
    transaction may have no number yet. Then all transactions that have one by then.
    """
    now = await _one(connection, _NEXT_TRANSACTION)
    while await _one(connection, _OLD_SNAPSHOTS, now):
        await pause()
    now = await _one(connection, _NEXT_TRANSACTION)
    while not await _one(connection, _ALL_ENDED, now):
        await pause()


async def _one(connection: Connection, query: str, *values: str) -> Any:
    cursor = await connection.execute(query, values)
    row = await cursor.fetchone()
    assert row is not None
    return row[0]
