"""What the command line takes out of a territory, as events of its audit trail."""

import getpass
from collections.abc import Collection
from itertools import islice

from fhir_server.audit.lines import line_of
from fhir_server.audit.trail import EXECUTE, Event
from fhir_server.context import Context
from fhir_server.security.principal import program
from fhir_server.storage import audit
from fhir_server.storage.store import Store

DOOR = "command"
# An event names so many patients; more of them are told by several.
_TOGETHER = 1000


async def note_export(store: Store, tenant: str, patients: Collection[str]) -> None:
    """Note that everything was written to files, before anybody can read them.

    patients: `Patient/id` of all that it tells of. It waits in the database for a server that keeps
    the trail.
    """
    ctx = Context(tenant, program(f"command:{getpass.getuser()}"), door=DOOR)
    rest = iter(sorted(patients))
    lines = [line_of(ctx, Event(EXECUTE, "export", shown=list(islice(rest, _TOGETHER))))]
    while shown := list(islice(rest, _TOGETHER)):
        lines.append(line_of(ctx, Event(EXECUTE, "export", shown=shown)))
    async with store.transaction(tenant) as connection:
        await audit.leave(connection, tenant, lines)
