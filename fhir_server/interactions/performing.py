"""The way from every door to an interaction: is it granted, what does it give, what is left out."""

from fhir_server.context import Context
from fhir_server.interactions.accompanying import accompanied
from fhir_server.interactions.auditing import noted, noted_refusal, of_trail
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import not_yours
from fhir_server.interactions.hiding import without_hidden
from fhir_server.interactions.read import not_found
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.interactions.sight import sight_of
from fhir_server.outcome import Forbidden, Issue, Refusal
from fhir_server.search import execute
from fhir_server.security.access import READ, SEARCH, UPDATE, Access


async def perform(
    engine: Engine, ctx: Context, definition: InteractionDefinition, request: Request
) -> Result:
    """Carry out an interaction as far as the context's principal may, and note that it was.

    Raises a 403 `Refusal` for what is not granted; it tells nothing of what is stored.
    """
    if request.provenance is not None:
        return await accompanied(perform, engine, ctx, definition, request)
    try:
        result = await _carry_out(engine, ctx, definition, request)
    except Refusal as refusal:
        await noted_refusal(engine, ctx, definition, request, refusal)
        raise
    await noted(engine, ctx, definition, request, result)
    return result


async def _carry_out(
    engine: Engine, ctx: Context, definition: InteractionDefinition, request: Request
) -> Result:
    if ctx.access.unlimited:
        return await definition.handler(engine, ctx, request)
    check_granted(ctx.access, definition, request)
    if request.id and not ctx.access.everyone(request.type, definition.needs or READ):
        await _check_instance(engine, ctx, definition, request)
    # An operation that changes something is granted as a whole, with what it has to look at.
    whole = definition.operation is not None and not definition.reads
    result = await definition.handler(engine, ctx.trusted() if whole else ctx, request)
    if result.body is not None:
        result.body = without_hidden(ctx.access, result.body)
    return result


async def _check_instance(
    engine: Engine, ctx: Context, definition: InteractionDefinition, request: Request
) -> None:
    """Raises a refusal for a resource with which it may not be done, as for one that is not there.

    The database tells both in the same time.
    """
    letter = definition.needs or READ
    identity = request.type, request.id
    if of_trail(*identity):
        return
    sight = sight_of(engine, ctx)
    assert sight is not None, "an access without limits is everyone's"
    async with engine.store.connection(ctx.tenant) as connection:
        at = engine.settling(ctx, connection)
        if await execute.meets(at, identity, sight.condition(request.type, letter)):
            return
    raise not_found(*identity) if letter == READ else not_yours(*identity)


def check_granted(access: Access, definition: InteractionDefinition, request: Request) -> None:
    """Raises a 403 `Refusal` unless an interaction is granted on the type that it is about."""
    if access.unlimited:
        return
    if definition.operation is not None:
        _check_operation(access, definition, request)
    elif definition.needs and not _granted(access, definition, request):
        where = request.type or "any type"
        raise denied(f"{definition.name} of {where} is not granted to you")


def _granted(access: Access, definition: InteractionDefinition, request: Request) -> bool:
    letter = definition.needs
    if definition.code.startswith("history-") and not request.id:
        # What was once there is told of everybody, so everything has to be granted.
        types = (request.type,) if request.type else ()
        return all(access.wholly(type_, letter) for type_ in types) if types else access.everything
    if request.type:
        return access.may(request.type, letter)
    named = request.one("_type")
    return all(access.may(each, letter) for each in named.split(",")) if named else True


def _check_operation(access: Access, definition: InteractionDefinition, request: Request) -> None:
    assert definition.operation is not None
    code, name = definition.operation.code, definition.operation.url.rpartition("/")[2]
    if access.operations is not None and name not in access.operations:
        raise denied(f"${code} is not granted to you")
    letters = (READ, SEARCH) if definition.reads else (UPDATE,)
    # Which roles may call what changes something the policy says by name; a token by its scopes.
    seen = any(access.may(request.type, letter) for letter in (READ, SEARCH))
    if request.type and not (seen and access.scoped(request.type, letters)):
        raise denied(f"${code} on {request.type} is not granted to you")
    for type_ in definition.touches:
        if not access.wholly(type_, READ):
            raise denied(f"${code} tells of every {type_}, which is not granted to you")


def denied(text: str) -> Forbidden:
    """The refusal for what is not granted."""
    return Forbidden(Issue("forbidden", text))
