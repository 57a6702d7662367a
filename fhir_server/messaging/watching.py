"""Which changes are noted, so that messages can be made of them."""

import asyncio
import logging
from collections.abc import Callable, Collection

import psycopg

from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.storage import outgoing

log = logging.getLogger(__name__)

_AFTER_FAILURE = 1.0
_LOOK_EVERY = 5.0


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


async def watch_nothing(
    engine: Engine, tenants: Callable[[], Collection[str]], sending: Collection[str]
) -> None:
    """For tenants without destinations: what was noted for former ones is noted no more.

    sending: the tenants that see to it themselves.
    """
    done = set(sending)
    while True:
        for tenant in set(tenants()) - done:
            await watch(engine, tenant, ())
            done.add(tenant)
        await asyncio.sleep(_LOOK_EVERY)
