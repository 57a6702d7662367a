"""$report on an order; $amend and $acknowledge on its report."""

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import gone, not_found
from fhir_server.interactions.result import Result
from fhir_server.operations.operation import Operation
from fhir_server.operations.order_lookups import own
from fhir_server.operations.order_results import FLAG, REPORT, given, store_results
from fhir_server.operations.order_steps import Work, take_step
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Conflict, Issue
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import resources
from fhir_server.workflow import reports
from fhir_server.workflow.recording import notes
from fhir_server.workflow.refusals import no_order
from fhir_server.workflow.result_rules import FINAL, check_change, step_of


async def report(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Make the report of an order, or the next version of a preliminary or partial one."""
    status = parameters.text("status") or FINAL

    async def making(work: Work) -> None:
        await store_results(work, given(parameters, status))

    step = step_of(status)
    return await take_step(engine, ctx, parameters, step, making=making, repeated=shown)


async def shown(work: Work) -> None:
    """Show the report that there is."""
    identity = work.noted(REPORT)
    if identity is not None:
        await work.hold([identity])
        work.shown.append(("report", identity))


async def amend(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Make an amended version of the final report of an order."""
    order_id = await _order_of(engine, ctx, parameters)
    results = given(parameters, parameters.text("status") or "amended")

    async def making(work: Work) -> None:
        step = work.table.step("amend")
        assert step is not None
        check_change(results, step)
        _check_report(work)
        await store_results(work, results)

    own_id = [("DiagnosticReport", parameters.id)]
    return await take_step(
        engine, ctx, parameters, "amend",
        making=making, repeated=shown, order_id=order_id, more=own_id,
    )  # fmt: skip


async def acknowledge(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Say that somebody has seen the critical result of a report.

    Raises `Conflict` if it has none, or somebody else was faster.
    """
    order_id = await _order_of(engine, ctx, parameters)
    own_id = [("DiagnosticReport", parameters.id)]
    return await take_step(
        engine, ctx, parameters, "acknowledge", making=_acknowledge, order_id=order_id, more=own_id
    )


async def _acknowledge(work: Work) -> None:
    _check_report(work)
    identity = work.noted(FLAG)
    stored = (await work.hold([identity])).get(identity) if identity else None
    flag = decode(stored.content) if stored is not None and stored.content is not None else {}
    name = f"DiagnosticReport/{work.parameters.id}"
    if flag.get("status") != "active":
        before = notes(work.held_task).get("acknowledge")
        text = f"{name} has no critical result that waits for somebody to acknowledge it"
        if before is not None:
            who = before.actor.get("reference") or before.actor.get("display")
            text += f"; {who} did at {before.at}"
        raise Conflict(Issue("business-rule", text))
    work.store("flag", reports.acknowledged(flag, work.asked.at), stored)
    work.shown.append(("report", ("DiagnosticReport", work.parameters.id)))


def _check_report(work: Work) -> None:
    """Raises `Conflict` for another report of the order than the one that steps made."""
    identity = work.noted(REPORT)
    if identity is None or identity[1] != work.parameters.id:
        text = f"DiagnosticReport/{work.parameters.id} is not the report of {work.order.reference}"
        if identity is not None:
            text += f", which is {'/'.join(identity)}"
        raise Conflict(Issue("business-rule", text))


async def _order_of(engine: Engine, ctx: Context, parameters: Parameters) -> str:
    """The id of the order that a report is of. Raises `NotFound` and `Gone`."""
    async with engine.store.connection(ctx.tenant) as connection:
        statements = engine.statements(ctx)
        row = await resources.read(connection, statements, parameters.type, parameters.id)
    if row is None:
        raise not_found(parameters.type, parameters.id)
    if row[2] is None:
        raise gone(parameters.type, parameters.id, row[0])
    for each in decode(row[2]).get("basedOn", ()):
        identity = own(engine, ctx, each.get("reference", ""))
        if identity is not None and identity[0] == "ServiceRequest":
            return identity[1]
    raise no_order(f"{parameters.type}/{parameters.id} is based on no order")


REPORT_ON_ORDER = Operation(
    "ServiceRequest-report",
    report,
    "Make the report of an order",
    writes=True,
    joins=True,
    base=OWN_BASE,
)
AMEND = Operation(
    "DiagnosticReport-amend",
    amend,
    "Amend the final report of an order",
    writes=True,
    joins=True,
    base=OWN_BASE,
)
ACKNOWLEDGE = Operation(
    "DiagnosticReport-acknowledge",
    acknowledge,
    "Acknowledge a critical result",
    writes=True,
    joins=True,
    base=OWN_BASE,
)
