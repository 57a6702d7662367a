"""Which tenants are served, and what their databases have to do."""

from datetime import datetime
from typing import NamedTuple

from fhir_server.storage.pool import Connection

# Where it is told that a tenant was added or dropped.
CHANNEL = "fhir_server_tenant"


class Pulse(NamedTuple):
    """What a process looks at all the time.

    index_state: differs when the search parameters do. settled: nothing is being read again.
    due: the kinds of jobs that wait to be carried out.
    """

    tenant: str
    index_state: str
    settled: bool
    due: list[str]


async def served(connection: Connection) -> list[str]:
    """The tenants that are served, by name."""
    cursor = await connection.execute(
        "select name from fhir_server.tenant where state = 'ready' order by name"
    )
    return [name for (name,) in await cursor.fetchall()]


async def role(connection: Connection, tenant: str) -> str | None:
    """The role that has a tenant's rights, empty if there is none; None for no such tenant."""
    cursor = await connection.execute(
        "select coalesce(role, '') from fhir_server.tenant where name = %s and state = 'ready'",
        (tenant,),
    )
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def pulses(connection: Connection, now: datetime) -> list[Pulse]:
    """How it stands with all tenants."""
    cursor = await connection.execute("select * from fhir_server.pulse(%s)", (now,))
    return [Pulse(*row) for row in await cursor.fetchall()]
