"""patch and conditional patch (R4 http.html#patch)."""

from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.changes import Change, carry_out, locked
from fhir_server.interactions.conditional import Condition, find
from fhir_server.interactions.conforming import conform
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import guarded, may_read
from fhir_server.interactions.read import gone, not_found
from fhir_server.interactions.references import settle_conditional
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.update import ATTEMPTS, check_preconditions
from fhir_server.interactions.writing import check, next_version, result_of, supersede, unchanged
from fhir_server.outcome import Conflict, Forbidden, Invalid, Issue, NotFound
from fhir_server.patch import PatchFailed
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection
from fhir_server.validation.structure import Checked

# A patched version can be repeated from history only as the update that it amounts to.
METHOD = "PUT"


async def patch(engine: Engine, ctx: Context, request: Request) -> Result:
    """Apply a patch to the current version, and again to the next when another writer is faster.

    A patch that changes nothing makes no version. Raises `NotFound`, `Gone`, `PreconditionFailed`
    when If-Match names another version, and `PatchFailed` when the patch cannot be applied or
    leaves an invalid resource.
    """
    async with engine.store.transaction(ctx.tenant) as connection:
        return await _store_patched(engine, ctx, connection, request)


async def conditional_patch(engine: Engine, ctx: Context, request: Request) -> Result:
    """Patch the one resource that the query matches; none is 404, several are 412."""
    condition = Condition(engine, ctx, request.type, request.query)
    async with engine.store.transaction(ctx.tenant) as connection:
        await resources.lock_names(connection, [condition.lock])
        id_ = await find(engine, ctx, connection, condition)
        if id_ is None:
            raise no_match(condition)
        request.id = id_
        return await _store_patched(engine, ctx, connection, request)


def no_match(condition: Condition) -> NotFound:
    """The refusal when there is nothing to patch."""
    return NotFound(Issue("not-found", f"Nothing matches {condition.text}"))


def current_to_patch(engine: Engine, ctx: Context, request: Request, old: Stored | None) -> Stored:
    """The version to patch. Raises `NotFound`, `Gone` and `PreconditionFailed`."""
    if old is None or not may_read(engine, ctx, request.type, old.content):
        raise not_found(request.type, request.id)
    if old.content is None:
        raise gone(request.type, request.id, old.version)
    check_preconditions(request, old)
    return old


def patched(
    engine: Engine, ctx: Context, request: Request, old: Stored
) -> tuple[dict[str, Any], Checked]:
    """What the request's patch makes of a version, with its structure checked.

    Raises `PatchFailed`, since it is the patch that would make the resource invalid
    (RFC 5789 section 2.2), and a 403 `Refusal` for a change that is not granted.
    """
    assert request.patch is not None
    assert old.content is not None
    resource = request.patch(decode(old.content))
    try:
        checked = check(engine, resource, request.type)
    except Invalid as invalid:
        raise PatchFailed(invalid.issues) from None
    return _guarded(engine, ctx, request, old, resource), checked


def _guarded(
    engine: Engine, ctx: Context, request: Request, old: Stored, resource: dict[str, Any]
) -> dict[str, Any]:
    """The patched resource, if that is granted: what is hidden has to be as it was."""
    kept = guarded(engine, ctx, (request.type, request.id), old, resource)
    if kept is not resource and not unchanged(kept or {}, resource):
        text = f"The patch removes elements of {request.type} that you may not see"
        raise Forbidden(Issue("forbidden", text))
    return resource


async def _store_patched(
    engine: Engine, ctx: Context, connection: Connection, request: Request
) -> Result:
    if request.type in engine.rules.types:
        return await _store_by_rules(engine, ctx, connection, request)
    statements = engine.statements(ctx)
    for _ in range(ATTEMPTS):
        stored = await resources.current(connection, statements, request.type, request.id)
        old = current_to_patch(engine, ctx, request, stored)
        resource, checked = patched(engine, ctx, request, old)
        await settle_conditional(engine, ctx, connection, checked.references)
        if unchanged(resource, decode(old.content or b"")):
            return result_of(old, 200)
        if engine.rules.concern(resource):
            change = Change(request.type, request.id, old, resource, METHOD)
            return result_of(await carry_out(engine, ctx, connection, change), 200, created=True)
        await conform(engine.within(connection), ctx, resource)
        row = next_version(engine, ctx, resource, old, METHOD)
        if await supersede(engine, ctx, connection, row, old.version):
            return result_of(row, 200, created=True)
    name = f"{request.type}/{request.id}"
    raise Conflict(Issue("conflict", f"{name} changed {ATTEMPTS} times while it was to be patched"))


async def _store_by_rules(
    engine: Engine, ctx: Context, connection: Connection, request: Request
) -> Result:
    stored = await locked(engine, ctx, connection, request.type, request.id)
    old = current_to_patch(engine, ctx, request, stored)
    resource, checked = patched(engine, ctx, request, old)
    await settle_conditional(engine, ctx, connection, checked.references)
    if unchanged(resource, decode(old.content or b"")):
        return result_of(old, 200)
    change = Change(request.type, request.id, old, resource, METHOD)
    return result_of(await carry_out(engine, ctx, connection, change), 200, created=True)
