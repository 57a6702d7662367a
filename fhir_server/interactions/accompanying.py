"""X-Provenance: a Provenance that comes with a write (R4 provenance.html#header)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.interactions.writing import check
from fhir_server.outcome import Invalid, Issue, Refusal

Perform = Callable[[Engine, Context, InteractionDefinition, Request], Awaitable[Result]]

HEADER = "X-Provenance"
_TYPE = "Provenance"
_WRITES = frozenset(
    {
        "create", "update", "patch", "delete",
        "update-conditional", "patch-conditional", "delete-conditional",
    }
)  # fmt: skip


async def accompanied(
    perform: Perform,
    engine: Engine,
    ctx: Context,
    definition: InteractionDefinition,
    request: Request,
) -> Result:
    """Carry out a write, and store the request's Provenance of the version that it makes with it.

    Both are stored or none; what makes no version has no Provenance. Raises `Invalid` for one that
    cannot be stored, and what the write and the creation of the Provenance raise.
    """
    if definition.name not in _WRITES:
        text = f"{HEADER} comes with the write of one resource; {definition.name} is none"
        raise Invalid(Issue("not-supported", text))
    provenance = _checked(engine, request.provenance, request.type)
    write = replace(request, provenance=None)
    await _prepare(engine, ctx, write)
    create, storing = engine.router.route("POST", [_TYPE])
    async with engine.store.transaction(ctx.tenant) as connection:
        inner = engine.within(connection)
        result = await perform(inner, ctx, definition, write)
        if result.written:
            target = f"{result.type}/{result.id}/_history/{result.version}"
            storing.resource = {**provenance, "target": [{"reference": target}]}
            await perform(inner, ctx, create, storing)
    return result


def _checked(engine: Engine, given: Any, type_: str) -> dict[str, Any]:
    """The Provenance, as far as it can be looked at before its target is known."""
    if not isinstance(given, dict) or given.get("resourceType") != _TYPE:
        raise Invalid(Issue("invalid", f"{HEADER}: expected a {_TYPE} as JSON"))
    if "target" in given:
        text = f"{HEADER}: the target is the version that is written; leave it out"
        raise Invalid(Issue("invalid", text, f"{_TYPE}.target"))
    try:
        check(engine, {**given, "target": [{"reference": f"{type_}/1"}]}, _TYPE)
    except Refusal as refusal:
        issues = [
            replace(each, diagnostics=f"{HEADER}: {each.diagnostics}") for each in refusal.issues
        ]
        raise Invalid(issues, status=refusal.status) from None
    return given


async def _prepare(engine: Engine, ctx: Context, request: Request) -> None:
    """What rules want committed before a transaction begins that may create the resource."""
    if request.resource is not None:
        check(engine, request.resource, request.type)
        if engine.rules.concern(request.resource):
            await engine.rules.prepare(engine, ctx, [request.resource])
