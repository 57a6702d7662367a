"""Merging what GIN indexes keep aside."""

import psycopg

from fhir_server.storage.pending import merge_pending

_INSERT = """
insert into tenant_default.resource
  (rid, type, id, version, last_updated, method, reference_key, keys, targets, content)
select n, 'Patient', n::text, 1, now(), 'PUT', n, array[n, n + 1000], '{}', '{}'
from generate_series(1, 200) n"""


async def test_what_was_written_is_merged_once_and_by_one_worker(database: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database, autocommit=True) as first,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as second,
    ):
        await merge_pending(first, "default")
        await first.execute(_INSERT)
        async with first.transaction():
            pages = await merge_pending(first, "default")
            assert await merge_pending(second, "default") == 0
        assert pages > 0
        assert await merge_pending(second, "default") == 0
        cursor = await first.execute(
            "select count(*) from tenant_default.resource where keys @> array[1007::bigint]"
        )
        assert await cursor.fetchone() == (1,)
