"""$verify-audit: whether the audit trail is as it was written (docs/security.md#audit)."""

from fhir_server.audit.verifying import Report, verify
from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.operation import Operation
from fhir_server.operations.output import Part, group, value
from fhir_server.operations.parameters import Parameters
from fhir_server.spec.operations import OWN_BASE


async def verify_audit(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Read the trail of the context's tenant again, from an event on."""
    await engine.audit.settle(ctx.tenant)
    start = parameters.one("start") or 1
    async with engine.store.connection(ctx.tenant) as connection:
        report = await verify(connection, ctx.tenant, engine.audit.remembered, start)
    return output.parameters(list(_told(report)))


def _told(report: Report) -> list[Part]:
    told = [
        value("valid", "boolean", not report.problem),
        value("events", "integer", report.events),
        value("checkpoints", "integer", report.signed),
        value("unverifiable-checkpoints", "integer", report.unknown),
        value("end", "string", f"{report.end.seq} {report.end.hash.hex()}"),
    ]
    if report.problem:
        parts = [
            value("code", "code", report.problem),
            value("event", "integer", report.at),
            value("text", "string", report.text),
        ]
        told.append(group("problem", parts))
    return told


VERIFY_AUDIT = Operation(
    "System-verify-audit",
    verify_audit,
    "Whether the audit trail is as it was written",
    base=OWN_BASE,
)
