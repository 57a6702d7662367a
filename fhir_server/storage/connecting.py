"""Opening connections to PostgreSQL, without leaving halves behind."""

import asyncio
from typing import Any, TypeAlias

from psycopg import AsyncConnection

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]

_SETTLED_WITHIN = 2.0


async def connected(database_url: str, **more: Any) -> Connection:
    """A connection on which each statement commits by itself.

    PostgreSQL keeps one whose client stopped in the middle of the password for a minute, and waits
    for it where a database is dropped. So whoever is cancelled waits for the end, and closes it.
    """
    opening = asyncio.create_task(AsyncConnection.connect(database_url, autocommit=True, **more))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening], timeout=_SETTLED_WITHIN)
        if not opening.cancel() and not opening.cancelled() and opening.exception() is None:
            await opening.result().close()
        raise
