"""The register of tenants as the owner of the tables sees and changes it."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.roles import drop_role
from fhir_server.storage.tenants import CHANNEL

Connection = psycopg.Connection[Any]


class Listed(NamedTuple):
    """A tenant. bytes: of its tables with their indexes."""

    name: str
    state: str
    created: datetime
    role: str | None
    bytes: int


def listed(connection: Connection) -> list[Listed]:
    """All of them by name."""
    rows = connection.execute(
        "select t.name, t.state, t.created, t.role, coalesce((select "
        "sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n "
        "on n.oid = c.relnamespace where n.nspname = 'tenant_' || t.name and c.relkind = 'r'), "
        "0)::bigint from fhir_server.tenant t order by t.name"
    )
    return [Listed(*row) for row in rows.fetchall()]


def leave(connection: Connection, tenant: str) -> bool:
    """Have a tenant served no more; whether somebody may have to hear of it."""
    done = connection.execute(
        "update fhir_server.tenant set state = 'leaving' where name = %s and state <> 'leaving'",
        (tenant,),
    )
    connection.execute("select pg_notify(%s, '')", (CHANNEL,))
    return bool(done.rowcount)


def drop(connection: Connection, tenant: str) -> None:
    """Delete a tenant that is served no more, with everything in it."""
    role = connection.execute(
        "select role from fhir_server.tenant where name = %s", (tenant,)
    ).fetchone()
    with connection.transaction():
        connection.execute(
            sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema_name(tenant)))
        )
        connection.execute("delete from fhir_server.tenant where name = %s", (tenant,))
        if role is not None and role[0] is not None:
            drop_role(connection, role[0])
    connection.execute("select pg_notify(%s, '')", (CHANNEL,))
