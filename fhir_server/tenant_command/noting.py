"""What is exported of a territory, as events of its audit trail."""

from collections.abc import Collection, Iterator
from itertools import islice

from fhir_server.audit.commanding import leave
from fhir_server.audit.trail import EXECUTE, Event
from fhir_server.storage.store import Store

# An event names so many patients; more of them are told by several.
_TOGETHER = 1000


async def note_export(store: Store, tenant: str, patients: Collection[str]) -> None:
    """Note that everything was written to files, before anybody can read them.

    patients: `Patient/id` of all that it tells of.
    """
    await leave(store, tenant, "export", _events(patients))


def _events(patients: Collection[str]) -> Iterator[Event]:
    rest = iter(sorted(patients))
    yield Event(EXECUTE, "export", shown=list(islice(rest, _TOGETHER)))
    while shown := list(islice(rest, _TOGETHER)):
        yield Event(EXECUTE, "export", shown=shown)
