"""delete and conditional delete (R4 http.html#delete, #3.1.0.7.1)."""

from fhir_server.context import Context
from fhir_server.interactions.auditing import refuse_change
from fhir_server.interactions.changes import Change, carry_out, locked
from fhir_server.interactions.conditional import Condition, find
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import guarded
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.update import ATTEMPTS, check_id, check_preconditions
from fhir_server.interactions.writing import deletion, supersede
from fhir_server.outcome import Conflict, Issue
from fhir_server.storage import resources
from fhir_server.storage.store import Connection


async def delete(engine: Engine, ctx: Context, request: Request) -> Result:
    """Make a version that says the resource is deleted; history stays.

    What is deleted already, or never was, stays as it is and answers the same.
    """
    check_id(request.id)
    refuse_change(request.type, request.id)
    if request.type in engine.rules.types:
        async with engine.store.transaction(ctx.tenant) as connection:
            return await _delete_by_rules(engine, ctx, connection, request)
    async with engine.store.connection(ctx.tenant) as connection:
        return await _store_deletion(engine, ctx, connection, request)


async def conditional_delete(engine: Engine, ctx: Context, request: Request) -> Result:
    """Delete the one resource that the query matches, if any; several are refused."""
    condition = Condition(engine, ctx, request.type, request.query)
    async with engine.store.transaction(ctx.tenant) as connection:
        await resources.lock_names(connection, [condition.lock])
        id_ = await find(engine, ctx, connection, condition)
        if id_ is None:
            note = Issue("informational", f"Nothing matches {condition.text}", "", "information")
            return Result(204, outcome=[note])
        request.id = id_
        if request.type in engine.rules.types:
            return await _delete_by_rules(engine, ctx, connection, request)
        return await _store_deletion(engine, ctx, connection, request)


async def _store_deletion(
    engine: Engine, ctx: Context, connection: Connection, request: Request
) -> Result:
    statements = engine.statements(ctx)
    for _ in range(ATTEMPTS):
        old = await resources.current(connection, statements, request.type, request.id)
        guarded(engine, ctx, (request.type, request.id), old, None)
        check_preconditions(request, old)
        if old is None:
            return _never_was(request)
        if old.content is None:
            return _deleted(request, old.version)
        row = deletion(engine, ctx, old)
        if await supersede(engine, ctx, connection, row, old.version):
            return _deleted(request, row.version, written=True)
    name = f"{request.type}/{request.id}"
    raise Conflict(Issue("conflict", f"{name} changed {ATTEMPTS} times while it was to be deleted"))


async def _delete_by_rules(
    engine: Engine, ctx: Context, connection: Connection, request: Request
) -> Result:
    old = await locked(engine, ctx, connection, request.type, request.id)
    guarded(engine, ctx, (request.type, request.id), old, None)
    check_preconditions(request, old)
    if old is None:
        return _never_was(request)
    if old.content is None:
        return _deleted(request, old.version)
    change = Change(request.type, request.id, old, None, "DELETE")
    stored = await carry_out(engine, ctx, connection, change)
    return _deleted(request, stored.version, written=True)


def _never_was(request: Request) -> Result:
    text = f"There is no {request.type} with the id {request.id!r}"
    return Result(204, outcome=[Issue("informational", text, "", "information")])


def _deleted(request: Request, version: int, *, written: bool = False) -> Result:
    text = f"{request.type}/{request.id} is deleted, as version {version}"
    note = Issue("informational", text, "", "information")
    return Result(
        204,
        type=request.type,
        id=request.id,
        version=version,
        outcome=[note],
        written=written,
    )
