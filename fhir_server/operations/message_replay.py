"""$replay: HL7 v2 messages are carried out, or sent, once more."""

from collections.abc import Sequence

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.operation import Operation
from fhir_server.operations.order_lookups import own
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue, NotFound
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import messages, outgoing
from fhir_server.storage.store import Connection

_PARKED = (messages.ERROR, outgoing.FAILED)
_MOST = 10_000


async def replay(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Let messages wait again, in their turn. Raises `NotFound` for those that are not kept."""
    named = _named(engine, ctx, parameters)
    async with engine.store.transaction(ctx.tenant) as connection:
        if named:
            await _check_kept(engine, ctx, named)
            again = await messages.replay(connection, ctx.tenant, named)
            again += await outgoing.replay(connection, ctx.tenant, named, ctx.now())
        else:
            again = await _parked(parameters, ctx, connection)
    return output.parameters(
        [
            output.value("replayed", "Reference", {"reference": f"Communication/{each}"})
            for each in again
        ]
    )


def _named(engine: Engine, ctx: Context, parameters: Parameters) -> list[str]:
    found = [parameters.id] if parameters.id else []
    for each in parameters.all("message"):
        identity = own(engine, ctx, each.get("reference", ""))
        if identity is None or identity[0] != "Communication":
            text = f"message: expected a Communication here, found {each.get('reference')!r}"
            raise Invalid(Issue("value", text))
        found.append(identity[1])
    state = parameters.text("state")
    if bool(found) == bool(state):
        raise Invalid(Issue("invalid", "Expected either messages or a state of messages"))
    if state and state not in _PARKED:
        raise Invalid(Issue("value", f"state={state!r}: expected {' or '.join(_PARKED)}"))
    if parameters.text("sender") and not state:
        raise Invalid(Issue("invalid", "sender goes with state"))
    return found


async def _check_kept(engine: Engine, ctx: Context, records: Sequence[str]) -> None:
    seal = engine.statements(ctx).seal
    async with engine.store.connection(ctx.tenant) as connection:
        for each in records:
            if await messages.by_record(connection, ctx.tenant, each, seal) is None and (
                await outgoing.by_record(connection, ctx.tenant, each, seal) is None
            ):
                text = f"There is no HL7 v2 message of Communication/{each}, or it is kept no more"
                raise NotFound(Issue("not-found", text))


async def _parked(parameters: Parameters, ctx: Context, connection: Connection) -> list[str]:
    sender = parameters.text("sender") or None
    if parameters.text("state") == messages.ERROR:
        found = await messages.parked(connection, ctx.tenant, sender, most=_MOST)
        return await messages.replay(connection, ctx.tenant, found)
    found = await outgoing.parked(connection, ctx.tenant, most=_MOST)
    return await outgoing.replay(connection, ctx.tenant, found, ctx.now())


REPLAY = Operation(
    "Communication-replay",
    replay,
    "Carry HL7 v2 messages out once more",
    writes=True,
    touches=("*",),
    base=OWN_BASE,
)
