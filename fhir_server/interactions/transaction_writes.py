"""What the entries of a transaction store: each identity once, in a few statements."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.indexing.changes import ParameterRefused
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.entries import WRITES
from fhir_server.interactions.patch import METHOD
from fhir_server.interactions.result import Result
from fhir_server.interactions.transaction_steps import TURN, Current, Step, placed
from fhir_server.interactions.update import check_preconditions, check_untaken
from fhir_server.interactions.writing import (
    deletion,
    first_version,
    next_version,
    result_of,
    store_many,
    unchanged,
)
from fhir_server.outcome import Conflict, Issue, Refusal
from fhir_server.storage.resources import Stored, Written
from fhir_server.storage.store import Connection


@dataclass(slots=True)
class _Plan:
    """The versions to be written."""

    created: list[Written] = field(default_factory=list)
    replaced: list[tuple[Written, int]] = field(default_factory=list)


async def write(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    steps: Sequence[Step],
    current: Current,
) -> None:
    """Store what the entries ask for: deletes, creates and updates, each identity once."""
    plan = _Plan()
    writing = [step for step in steps if step.entry.method in WRITES and not step.definition.reads]
    rids = iter(await engine.store.row_ids(connection, ctx.tenant, len(writing)))
    for number, step in enumerate(writing):
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
        old = current.get((step.request.type, step.id))
        step.result = _PLANS[step.entry.method](engine, ctx, plan, step, old, next(rids))
    try:
        stored = await store_many(engine, ctx, connection, plan.created, plan.replaced)
    except ParameterRefused as refusal:
        raise _at_its_entry(refusal, writing) from refusal
    if not stored:
        raise Conflict(Issue("transient", "Another writer was faster; try again"))


def _at_its_entry(refusal: ParameterRefused, steps: Sequence[Step]) -> Refusal:
    for step in steps:
        if f"{step.request.type}/{step.id}" == refusal.source:
            return Refusal(placed(refusal, step.entry.index), status=refusal.status)
    return refusal


def _plan_create(
    engine: Engine, ctx: Context, plan: _Plan, step: Step, old: Stored | None, rid: int
) -> Result:
    if step.exists:
        if old is None or old.content is None:
            raise Conflict(Issue("transient", f"{step.request.type}/{step.id} was just deleted"))
        return result_of(old, 200, created=True)
    row = first_version(engine, ctx, step.entry.resource, step.id, rid, "POST")
    plan.created.append(row)
    return result_of(row, 201, created=True)


def _plan_update(
    engine: Engine, ctx: Context, plan: _Plan, step: Step, old: Stored | None, rid: int
) -> Result:
    check_preconditions(step.request, old)
    if step.condition is not None and not step.exists:
        check_untaken(step.condition, step.id, old)
    resource = step.entry.resource
    if old is None:
        row = first_version(engine, ctx, resource, step.id, rid, "PUT")
        plan.created.append(row)
        return result_of(row, 201, created=True)
    if old.content is not None and unchanged(resource, decode(old.content)):
        return result_of(old, 200, created=True)
    row = next_version(engine, ctx, resource, old, "PUT")
    plan.replaced.append((row, old.version))
    return result_of(row, 200 if old.content is not None else 201, created=True)


def _plan_patch(
    engine: Engine, ctx: Context, plan: _Plan, step: Step, old: Stored | None, rid: int
) -> Result:
    assert old is not None
    resource = step.entry.resource
    if unchanged(resource, decode(old.content or b"")):
        return result_of(old, 200)
    row = next_version(engine, ctx, resource, old, METHOD)
    plan.replaced.append((row, old.version))
    return result_of(row, 200, created=True)


def _plan_delete(
    engine: Engine, ctx: Context, plan: _Plan, step: Step, old: Stored | None, rid: int
) -> Result:
    check_preconditions(step.request, old)
    if old is None or old.content is None:
        return Result(204)
    row = deletion(engine, ctx, old)
    plan.replaced.append((row, old.version))
    return Result(204, type=row.type, id=row.id, version=row.version)


_PLANS = {
    "POST": _plan_create,
    "PUT": _plan_update,
    "PATCH": _plan_patch,
    "DELETE": _plan_delete,
}
