"""What the tests of sealing share: an application that seals, and all that its database has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conftest import FHIR_JSON


@asynccontextmanager
async def serving(
    database: str,
    elements: str | None = "default",
    keys: str | Path | None = None,
    audit: Path | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application, which seals some elements.

    audit: a folder of the audit trail, if there is one.
    """
    settings = Settings(
        database_pool=6,
        seal_elements=elements,
        seal_keys=None if keys is None else str(keys),
        audit="off" if audit is None else "on",
        audit_dir=audit,
    )
    app = build(settings, database)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://test/fhir/",
            headers=FHIR_JSON,
            timeout=60,
        ) as client,
    ):
        yield client


def places_of(database: str, sentinel: str) -> list[str]:
    """Each table and column, of all schemas, in which a text stands in whatever way."""
    lower = sentinel.lower()
    found = []
    with psycopg.connect(database) as connection:
        columns = connection.execute(
            "select table_schema, table_name, column_name, data_type "
            "from information_schema.columns "
            "where table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table, column, type_ in columns:
            text: Any = sql.SQL("{}::text").format(sql.Identifier(column))
            if type_ == "bytea":
                text = sql.SQL("encode({}, 'escape')").format(sql.Identifier(column))
            query = sql.SQL("select count(*) from {} where position({} in lower({})) > 0").format(
                sql.Identifier(schema, table), sql.Literal(lower), text
            )
            row = connection.execute(query).fetchone()
            if row is not None and row[0]:
                found.append(f"{table}.{column}")
    return found


async def settled(client: httpx.AsyncClient, within: float = 30.0) -> dict[str, Any]:
    """What `$index-status` tells, once everything is sealed as it should be."""
    import asyncio
    import time

    end = time.monotonic() + within
    while True:
        status = (await client.get("$index-status")).json()
        by_name = {each["name"]: each for each in status["parameter"]}
        if by_name["sealed"]["valueBoolean"] or time.monotonic() > end:
            return by_name
        await asyncio.sleep(0.1)
