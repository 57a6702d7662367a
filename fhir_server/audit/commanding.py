"""What commands do, as events of a trail: on the database itself, without a server."""

import getpass
from collections.abc import Iterable

from fhir_server.audit.lines import line_of
from fhir_server.audit.trail import Event
from fhir_server.context import Context
from fhir_server.security.principal import program
from fhir_server.storage import audit
from fhir_server.storage.store import Store


async def leave(store: Store, tenant: str, door: str, events: Iterable[Event]) -> None:
    """Leave events of a tenant for the server that keeps its trail, to whom the next one comes.

    door: what kind of command it is, by which events are told apart.
    """
    ctx = Context(tenant, program(f"command:{getpass.getuser()}"), door=door)
    lines = [line_of(ctx, event) for event in events]
    async with store.transaction(tenant) as connection:
        await audit.leave(connection, tenant, lines)
