"""Sets of changes, stored inside one transaction in a few statements."""

import asyncio
from collections.abc import Sequence

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.conforming import conform
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.rules import Change
from fhir_server.interactions.writing import (
    deletion,
    first_version,
    next_version,
    reference_key,
    store_many,
    unchanged,
)
from fhir_server.outcome import Conflict, Issue
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored, Written
from fhir_server.storage.store import Connection

__all__ = ["Change", "carry_out", "locked", "store_changes"]

# After this many changes other requests of the process get their turn.
_TURN = 50


async def store_changes(
    engine: Engine, ctx: Context, connection: Connection, changes: Sequence[Change]
) -> list[Stored]:
    """Store creates, updates and deletions; the versions stand in the order of the changes.

    Inside the caller's transaction, which has locked the old versions (`resources.lock_current`),
    and without asking the rules. A change that changes nothing gives the version there is, and no
    new one. Raises `Conflict` when an old version is not current any more.
    """
    new = sum(change.old is None for change in changes)
    rids = iter(await engine.store.row_ids(connection, ctx.tenant, new))
    found: list[Stored] = []
    created: list[Written] = []
    replaced: list[tuple[Written, int]] = []
    for number, change in enumerate(changes):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        if change.old is None:
            assert change.new is not None, f"{change.reference} is not there to be deleted"
            row = first_version(engine, ctx, change.new, change.id, next(rids), change.method)
            created.append(row)
            found.append(row)
        elif _changes_nothing(change.old, change.new):
            found.append(change.old)
        else:
            row = _following(engine, ctx, change, change.old)
            replaced.append((row, change.old.version))
            found.append(row)
    claims = [claim for change in changes for claim in change.claims]
    if not await store_many(engine, ctx, connection, created, replaced, claims):
        raise Conflict(Issue("transient", "Another writer was faster; try again"))
    return found


def _changes_nothing(old: Stored, new: dict[str, object] | None) -> bool:
    if new is None or old.content is None:
        return new is None and old.content is None
    return unchanged(new, decode(old.content))


def _following(engine: Engine, ctx: Context, change: Change, old: Stored) -> Written:
    if change.new is None:
        return deletion(engine, ctx, old)
    return next_version(engine, ctx, change.new, old, change.method)


async def locked(
    engine: Engine, ctx: Context, connection: Connection, type_: str, id_: str
) -> Stored | None:
    """The current version, which nobody else changes until the transaction ends.

    When there is none, nobody else who asks this way creates it.
    """
    statements = engine.statements(ctx)
    identity = (type_, id_)
    found = await resources.lock_current(connection, statements, [identity])
    if not found:
        await resources.lock_names(connection, [reference_key(type_, id_)])
        found = await resources.lock_current(connection, statements, [identity])
    return found.get(identity)


async def carry_out(engine: Engine, ctx: Context, connection: Connection, change: Change) -> Stored:
    """Hand one change to the rules, hold the outcome to its profiles, and store what follows."""
    ctx = ctx.at_once()
    changes = await engine.rules.apply(engine, ctx.trusted(), connection, [change])
    if change.new is not None:
        # Its structure was checked as it came, and rules only add to it.
        await conform(engine.within(connection), ctx, change.new, structure=False)
    stored = await store_changes(engine, ctx, connection, changes)
    return next(
        each for each, of in zip(stored, changes, strict=True) if of.identity == change.identity
    )
