"""What commands change of users and programs, as events of the first territory's audit trail."""

import argparse
import asyncio
from urllib.parse import urlencode

from fhir_server.audit.commanding import leave
from fhir_server.audit.trail import EXECUTE, Event
from fhir_server.storage.migrate import DEFAULT_TENANT
from fhir_server.storage.store import PooledStore

# What changes nothing and shows nothing of patients.
_UNTOLD = frozenset({"list"})
# Options that say what somebody is given. Passwords, secrets and keys are none.
_TOLD = (
    "name", "role", "values", "value", "tenant", "fhir_user", "scope", "redirect_uri", "backend",
    "trusted", "public", "encounter", "user",
)  # fmt: skip


def note(url: str, given: argparse.Namespace) -> None:
    """Note what was done. url: of the database. Raises as psycopg does."""
    if given.action not in _UNTOLD:
        asyncio.run(_note(url, _event(given)))


def _event(given: argparse.Namespace) -> Event:
    options = {name: value for name in _TOLD if (value := getattr(given, name, None))}
    patient = getattr(given, "patient", None)
    return Event(
        EXECUTE,
        f"{given.command}-{given.action}",
        shown=[f"Patient/{patient}"] if patient else [],
        query=urlencode(options, doseq=True),
    )


async def _note(url: str, event: Event) -> None:
    store = PooledStore(url, size=1)
    await store.open()
    try:
        await leave(store, DEFAULT_TENANT, "administration", [event])
    finally:
        await store.close()
