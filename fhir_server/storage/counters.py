"""Numbers that never repeat: taken in blocks, so that writers do not wait on one row."""

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection


async def take(
    connection: Connection, tenant: str, name: str, scope: str, *, count: int = 1
) -> range:
    """The next `count` numbers of a counter, beginning with 1 in each scope (such as a year).

    On an autocommit connection the numbers are gone even if their user fails: gaps, no repeats.
    """
    cursor = await connection.execute(
        f"insert into {schema_name(tenant)}.counter as c (name, scope, value) "
        "values (%(name)s, %(scope)s, %(count)s) "
        "on conflict (name, scope) do update set value = c.value + %(count)s returning value",
        {"name": name, "scope": scope, "count": count},
    )
    row = await cursor.fetchone()
    assert row is not None
    return range(row[0] - count + 1, row[0] + 1)
