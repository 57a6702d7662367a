"""update, update as create and conditional update (R4 http.html#update, #upsert, #cond-update)."""

import re
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.changes import Change, carry_out, locked
from fhir_server.interactions.conditional import Condition, find
from fhir_server.interactions.conforming import conform
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import guarded
from fhir_server.interactions.references import conditional, settle_conditional
from fhir_server.interactions.request import Request, tags
from fhir_server.interactions.result import Result
from fhir_server.interactions.rules import ruled
from fhir_server.interactions.writing import (
    check,
    first_version,
    insert,
    next_version,
    result_of,
    supersede,
    unchanged,
)
from fhir_server.outcome import Conflict, Invalid, Issue, PreconditionFailed
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

# How often an update that loses a race looks again before it gives up with 409.
ATTEMPTS = 100

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


async def update(engine: Engine, ctx: Context, request: Request) -> Result:
    """Store the next version, or the first one under the client's id.

    Content that changes nothing makes no version. Raises `PreconditionFailed` when If-Match names
    another version and `Conflict` when the race for the next version is lost again and again.
    """
    check_id(request.id)
    checked = check(engine, request.resource, request.type)
    _check_same_id(request.resource, request.id)
    has_rules = await _prepare(engine, ctx, request)
    if has_rules or conditional(checked.references):
        async with engine.store.transaction(ctx.tenant) as connection:
            await settle_conditional(engine, ctx, connection, checked.references)
            return await store_update(engine, ctx, connection, request)
    async with engine.store.connection(ctx.tenant) as connection:
        return await store_update(engine, ctx, connection, request)


async def conditional_update(engine: Engine, ctx: Context, request: Request) -> Result:
    """Update what the query matches; create it when nothing does."""
    checked = check(engine, request.resource, request.type)
    await _prepare(engine, ctx, request)
    condition = Condition(engine, ctx, request.type, request.query)
    async with engine.store.transaction(ctx.tenant) as connection:
        await resources.lock_names(connection, [condition.lock])
        id_ = await find(engine, ctx, connection, condition)
        await settle_conditional(engine, ctx, connection, checked.references)
        request.id = target_id(ctx, request.resource, condition, id_)
        request.resource["id"] = request.id
        if id_ is None:
            statements = engine.statements(ctx)
            old = await resources.current(connection, statements, request.type, request.id)
            check_untaken(condition, request.id, old)
        return await store_update(engine, ctx, connection, request)


async def _prepare(engine: Engine, ctx: Context, request: Request) -> bool:
    """What has to come before the transaction; whether there are rules for it.

    They may complete a resource, so its profiles are looked at after them.
    """
    if not ruled(engine.rules, request.type, request.resource):
        await conform(engine, ctx, request.resource)
        return False
    await engine.rules.prepare(engine, ctx.trusted(), [request.resource])
    return True


def target_id(ctx: Context, resource: Any, condition: Condition, match: str | None) -> str:
    """The id that a conditional update writes to.

    Raises `Invalid` when the resource has an id that differs from the match's.
    """
    given = resource.get("id")
    if match is None:
        return given or ctx.new_id()
    if given not in (None, match):
        raise Invalid(
            Issue(
                "invalid",
                f"The body has the id {given!r}, but {condition.text} matches the id {match!r}",
                f"{condition.type}.id",
            )
        )
    return match


def check_untaken(condition: Condition, id_: str, old: Stored | None) -> None:
    """Raises `Conflict` when a conditional update that matches nothing names an id in use."""
    if old is not None and old.content is not None:
        name = f"{condition.type}/{id_}"
        text = f"The condition {condition.text} matches nothing, but {name}, the body's id, exists"
        raise Conflict(Issue("duplicate", text, f"{condition.type}.id"))


def check_id(id_: str) -> None:
    """Raises `Invalid` for what cannot be a logical id (R4 datatypes.html#id)."""
    if not _ID.fullmatch(id_):
        text = f"{id_!r} is no id; expected 1 to 64 letters, digits, '-' or '.'"
        raise Invalid(Issue("value", text))


def _check_same_id(resource: Any, id_: str) -> None:
    given = resource.get("id")
    if given != id_:
        found = "has no id" if given is None else f"has the id {given!r}"
        text = f"The URL names the id {id_!r}, the body {found}; expected the same"
        raise Invalid(Issue("invalid", text, f"{resource['resourceType']}.id"))


def check_preconditions(request: Request, old: Stored | None) -> None:
    """Raises `PreconditionFailed` unless If-Match and If-None-Match hold for what is stored."""
    name = f"{request.type}/{request.id}"
    if request.if_match is not None:
        exists = old is not None and old.content is not None
        wanted = request.if_match.strip()
        holds = exists if wanted == "*" else old is not None and old.version in tags(wanted)
        if not holds:
            found = f"is at version {old.version}" if old is not None else "does not exist"
            text = f"If-Match asks for {request.if_match}, but {name} {found}"
            raise PreconditionFailed(Issue("conflict", text))
    if request.if_none_match is not None and old is not None and old.content is not None:
        wanted = request.if_none_match.strip()
        if wanted == "*" or old.version in tags(wanted):
            text = f"If-None-Match forbids {wanted}, but {name} is at version {old.version}"
            raise PreconditionFailed(Issue("conflict", text))


async def store_update(
    engine: Engine, ctx: Context, connection: Connection, request: Request
) -> Result:
    """Store the request's resource under its id, looking again when another writer was faster."""
    if ruled(engine.rules, request.type, request.resource):
        return await _store_by_rules(engine, ctx, connection, request)
    statements = engine.statements(ctx)
    for _ in range(ATTEMPTS):
        old = await resources.current(connection, statements, request.type, request.id)
        _guard(engine, ctx, request, old)
        check_preconditions(request, old)
        if old is None:
            (rid,) = await engine.store.row_ids(connection, ctx.tenant, 1)
            row = first_version(engine, ctx, request.resource, request.id, rid, "PUT")
            if await insert(engine, ctx, connection, row):
                return result_of(row, 201, created=True)
            continue
        if old.content is not None and unchanged(request.resource, decode(old.content)):
            return result_of(old, 200)
        row = next_version(engine, ctx, request.resource, old, "PUT")
        if await supersede(engine, ctx, connection, row, old.version):
            return result_of(row, 200 if old.content is not None else 201, created=True)
    raise Conflict(
        Issue(
            "conflict",
            f"{request.type}/{request.id} changed {ATTEMPTS} times while this update was tried",
        )
    )


def _guard(engine: Engine, ctx: Context, request: Request, old: Stored | None) -> None:
    identity = (request.type, request.id)
    request.resource = guarded(engine, ctx, identity, old, request.resource)


async def _store_by_rules(
    engine: Engine, ctx: Context, connection: Connection, request: Request
) -> Result:
    old = await locked(engine, ctx, connection, request.type, request.id)
    _guard(engine, ctx, request, old)
    check_preconditions(request, old)
    change = Change(request.type, request.id, old, request.resource, "PUT")
    before = change.before()
    if old is not None and before is not None and unchanged(request.resource, before):
        return result_of(old, 200)
    stored = await carry_out(engine, ctx, connection, change)
    return result_of(stored, 201 if before is None else 200, created=True)
