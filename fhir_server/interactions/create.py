"""create and conditional create (R4 http.html#create, #ccreate)."""

from fhir_server.context import Context
from fhir_server.interactions.changes import Change, carry_out
from fhir_server.interactions.conditional import Condition, find
from fhir_server.interactions.conforming import conform
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import guarded
from fhir_server.interactions.references import conditional, settle_conditional
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.writing import check, first_version, insert, result_of
from fhir_server.outcome import Conflict, Issue
from fhir_server.storage import first_versions, resources
from fhir_server.storage.store import BoundStore, Connection
from fhir_server.validation.structure import Checked


async def create(engine: Engine, ctx: Context, request: Request) -> Result:
    """Store a new resource under an id of the server's.

    With If-None-Exist: 200 and the resource that matches, if one does, and nothing is stored.
    """
    checked = check(engine, request.resource, request.type)
    has_rules = engine.rules.concern(request.resource)
    if has_rules:
        await engine.rules.prepare(engine, ctx.trusted(), [request.resource])
    else:
        await conform(engine, ctx, request.resource)
    if request.if_none_exist is not None:
        return await _create_unless_exists(engine, ctx, request, checked)
    if has_rules and not conditional(checked.references):
        return await _create_by_rules(engine, ctx, request)
    if conditional(checked.references):
        async with engine.store.transaction(ctx.tenant) as connection:
            await settle_conditional(engine, ctx, connection, checked.references)
            return await _store(engine, ctx, connection, request)
    async with engine.store.connection(ctx.tenant) as connection:
        return await _store(engine, ctx, connection, request)


async def _create_by_rules(engine: Engine, ctx: Context, request: Request) -> Result:
    """Create by one statement if that can be, which takes that all numbers are free."""
    # Within a transaction of others one statement that fails would end it.
    alone = not isinstance(engine.store, BoundStore)
    if alone and engine.rules.stands_alone(request.resource):
        async with engine.store.connection(ctx.tenant) as connection:
            try:
                return await _store(engine, ctx, connection, request)
            except first_versions.NumberTaken:
                pass
    # One after the other tells which of the numbers is taken, and by whom.
    async with engine.store.transaction(ctx.tenant) as connection:
        return await _store(engine, ctx, connection, request)


async def _create_unless_exists(
    engine: Engine, ctx: Context, request: Request, checked: Checked
) -> Result:
    assert request.if_none_exist is not None
    condition = Condition.of_text(engine, ctx, request.type, request.if_none_exist)
    async with engine.store.connection(ctx.tenant) as connection:
        existing = await _existing(engine, ctx, connection, condition)
    if existing is not None:
        return existing
    async with engine.store.transaction(ctx.tenant) as connection:
        # Whoever states the same condition waits here, then finds what this one stores.
        await resources.lock_names(connection, [condition.lock])
        existing = await _existing(engine, ctx, connection, condition)
        if existing is not None:
            return existing
        await settle_conditional(engine, ctx, connection, checked.references)
        return await _store(engine, ctx, connection, request)


async def _existing(
    engine: Engine, ctx: Context, connection: Connection, condition: Condition
) -> Result | None:
    id_ = await find(engine, ctx, connection, condition)
    if id_ is None:
        return None
    stored = await resources.current(connection, engine.statements(ctx), condition.type, id_)
    if stored is None or stored.content is None:
        return None
    return result_of(stored, 200, created=True)


async def _store(engine: Engine, ctx: Context, connection: Connection, request: Request) -> Result:
    request.resource = guarded(engine, ctx, (request.type, ""), None, request.resource)
    if engine.rules.concern(request.resource):
        change = Change(request.type, ctx.new_id(), None, request.resource, "POST")
        return result_of(await carry_out(engine, ctx, connection, change), 201, created=True)
    (rid,) = await engine.store.row_ids(connection, ctx.tenant, 1)
    row = first_version(engine, ctx, request.resource, ctx.new_id(), rid, "POST")
    if not await insert(engine, ctx, connection, row):
        raise Conflict(Issue("duplicate", f"{row.type}/{row.id} exists already"))
    return result_of(row, 201, created=True)
