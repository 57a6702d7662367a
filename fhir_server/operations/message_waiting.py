"""$hl7v2-waiting: HL7 v2 messages that are acknowledged and not carried out yet."""

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, url
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import message_records as records
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import messages
from fhir_server.storage.messages import Held

_USUAL, _MOST = 100, 1000


async def waiting(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The oldest messages that wait, as the records that they will have. Raises `Invalid`."""
    given = parameters.one("count")
    most = _USUAL if given is None else int(given)
    if not 0 < most <= _MOST:
        raise Invalid(Issue("value", f"count={most}: expected 1 to {_MOST}"))
    sender, type_ = parameters.text("sender"), parameters.text("type")
    async with engine.store.connection(ctx.tenant) as connection:
        found = await messages.waiting(
            connection,
            ctx.tenant,
            sender,
            type_,
            parameters.text("control-id"),
            most=most,
            seal=engine.statements(ctx).seal,
        )
    links = [("self", url(ctx, "Communication/$hl7v2-waiting", parameters.in_url()))]
    return Result(200, bundle(ctx, "searchset", links, [_entry(ctx, each) for each in found]))


def _entry(ctx: Context, held: Held) -> dict[str, object]:
    record = records.communication(records.facts_of(held, messages.RECEIVED))
    return {
        "fullUrl": f"{ctx.base_url}/Communication/{held.record}",
        "resource": record,
        "search": {"mode": "match"},
    }


LIST_WAITING = Operation(
    "Communication-hl7v2-waiting",
    waiting,
    "List HL7 v2 messages that wait",
    touches=("Communication",),
    base=OWN_BASE,
)
