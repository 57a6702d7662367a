"""What a release finds to do when it starts on a tenant's database."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fhir_server.fhir_json import decode
from fhir_server.indexing.changes import REINDEX, Change, apply, effective, in_effect
from fhir_server.indexing.conflicts import conflicts, unresolved
from fhir_server.indexing.definition import TYPE, check_definition
from fhir_server.indexing.progress import RESEAL
from fhir_server.outcome import Invalid, Refusal
from fhir_server.sealing.tenants import Seals
from fhir_server.search.extract import FORMAT
from fhir_server.search.parameters import SearchParameters
from fhir_server.spec import SearchParameterDefinition, definitions
from fhir_server.storage import index_state, jobs, keys
from fhir_server.storage.index_state import IndexState
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

_POSTED = f"{TYPE}/"


async def prepare(
    connection: Connection, tenant: str, now: datetime, seals: Seals | None = None
) -> None:
    """Bring a tenant's index state to this release, and enqueue the work that this makes.

    seals: of what the settings want encrypted at rest. Several workers may call this at once.
    """
    async with connection.transaction():
        state = await index_state.lock(connection, tenant)
        wanted = {
            source: definition
            for source, definition in in_effect(state).items()
            if source.startswith(_POSTED)
        }
        adopted: Sequence[Change] = ()
        if state.target < FORMAT:
            adopted = await _begin_format(connection, tenant, state, now)
        _add(wanted, adopted)
        state = await index_state.load(connection, tenant)
        await apply(connection, tenant, state, effective(wanted, definitions()), now)
        await _ensure_job(connection, tenant, now)
        if seals is not None:
            await _seal(connection, tenant, seals, now)


async def _seal(connection: Connection, tenant: str, seals: Seals, now: datetime) -> None:
    """Have what the settings want encrypted at rest, with a generation of its own."""
    state = await index_state.load(connection, tenant)
    changed = await seals.prepare(connection, tenant, state.sealing, state.generation, now)
    if changed is not None:
        generation = await index_state.begin_generation(connection, tenant)
        assert changed.generation == generation
        if not await index_state.has_resources(connection, tenant):
            changed = replace(changed, former={}, state=keys.READY)
        await keys.change(connection, tenant, changed)
    if (changed or state.sealing).state != keys.READY:
        await enqueue_resealing(connection, tenant, now)


async def enqueue_resealing(connection: Connection, tenant: str, now: datetime) -> None:
    """See to it that there is a job that seals anew what is stored."""
    found = await jobs.unfinished(connection, tenant, RESEAL)
    if not any(job.state in ("queued", "running") for job in found):
        await jobs.enqueue(connection, tenant, RESEAL, {}, now)


async def _begin_format(
    connection: Connection, tenant: str, state: IndexState, now: datetime
) -> list[Change]:
    """Make new entries in this release's format, old ones in the background.

    Gives the SearchParameters that are stored: the first format had no use for them.
    """
    filled = await index_state.has_resources(connection, tenant)
    await index_state.begin_format(connection, tenant, FORMAT, done=not filled)
    if filled:
        await index_state.begin_generation(connection, tenant)
    stored = await index_state.stored_of_type(connection, tenant, TYPE)
    held = {item.source for item in state.parameters}
    changes = [Change(f"{_POSTED}{id_}", decode(content.encode())) for id_, content in stored]
    return [change for change in changes if change.source not in held]


def _add(wanted: dict[str, SearchParameterDefinition], changes: Sequence[Change]) -> None:
    """Add what can stand beside the others; the rest is named in the log and has no effect."""
    known = definitions()
    for change in changes:
        try:
            check_definition(change.resource or {}, known)
            definition = change.definition(known)
            if definition is None:
                continue
            trial = SearchParameters(extra=(*wanted.values(), definition))
            issues = [*conflicts(definition, wanted, known), *unresolved(definition, trial, known)]
            if issues:
                raise Invalid(issues)
            wanted[change.source] = definition
        except Refusal as refusal:
            log.error("%s has no effect: %s", change.source, refusal)


async def _ensure_job(connection: Connection, tenant: str, now: datetime) -> None:
    """See to it that unfinished work has a job: the last one may have failed for good."""
    state = await index_state.load(connection, tenant)
    if state.settled:
        return
    found = await jobs.unfinished(connection, tenant, REINDEX)
    if not any(job.state in ("queued", "running") for job in found):
        await jobs.enqueue(connection, tenant, REINDEX, {}, now)
