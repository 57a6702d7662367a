"""Which changes are noted, so that messages can be made of them."""

import asyncio
import logging
from collections.abc import Collection

import psycopg

from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.storage import outgoing

log = logging.getLogger(__name__)

_AFTER_FAILURE = 1.0


async def watch(engine: Engine, tenant: str, types: Collection[str]) -> None:
    """Have changes of some types noted, and no others; tried until the database answers."""
    while True:
        try:
            async with engine.store.server() as connection:
                await outgoing.watch(connection, tenant, types)
            return
        except (Refusal, psycopg.Error, OSError) as error:
            log.warning("it is not settled yet which changes are noted: %s", error)
            await asyncio.sleep(_AFTER_FAILURE)


async def watch_nothing(engine: Engine, tenant: str) -> None:
    """For a server without destinations: what one before it noted is noted no more."""
    await watch(engine, tenant, ())
    await asyncio.Event().wait()
