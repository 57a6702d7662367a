"""Reading everything that a tenant has, in the order of types, without holding it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.seal import Seal, opened
from fhir_server.storage.store import Connection

_AT_ONCE = 500
_CONTENT = "coalesce(exact, content::text)"
_CURRENT = f"""
select type, id, version, last_updated, {_CONTENT} from {{s}}.resource
where content is not null order by type, id"""
# What is not in the former: versions that were superseded, and deletions.
_FORMER = f"""
select type, id, version, last_updated, {_CONTENT} from {{s}}.history
union all
select type, id, version, last_updated, null from {{s}}.resource where content is null
order by type, id, version"""


class Version(NamedTuple):
    """A version of a resource; content is its JSON, None if it says that it was deleted."""

    type: str
    id: str
    version: int
    last_updated: datetime
    content: bytes | None


async def versions(
    connection: Connection, tenant: str, seal: Seal | None, *, former: bool
) -> AsyncIterator[Version]:
    """The current versions, or the former ones with deletions.

    connection: in a transaction, which sees one state from its beginning to its end.
    seal: opens what is encrypted at rest; None if nothing is.
    """
    query = (_FORMER if former else _CURRENT).replace("{s}", schema_name(tenant))
    async with connection.cursor("export") as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(query)
        async for type_, id_, number, updated, content in cursor:
            json = None if content is None else opened(seal, type_, id_, content.encode())
            yield Version(type_, id_, number, updated, json)
