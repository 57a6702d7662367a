"""$timeline on an order: what happened to it, oldest first."""

from collections.abc import Iterable, Sequence

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import gone
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.operation import Operation
from fhir_server.operations.order_lookups import referred, referring
from fhir_server.operations.parameters import Parameters
from fhir_server.search.values import Instants
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import resources
from fhir_server.storage.store import Connection
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.refusals import no_order
from fhir_server.workflow.timeline import (
    CHARGING,
    INVOICING,
    REFERRING,
    Event,
    Resource,
    causes,
    events,
)


async def timeline(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Everything that happened to an order. Raises `NotFound` and `Gone`."""
    async with engine.store.connection(ctx.tenant) as connection:
        order = await _order(engine, ctx, connection, parameters.id)
        found = await _found(engine, ctx, connection, f"ServiceRequest/{parameters.id}")
    instants = Instants(engine.where.zone)
    told = events(order, found, lambda text: instants.of_text(text)[0])
    return output.parameters([output.group("event", list(_parts(each))) for each in told])


async def _order(engine: Engine, ctx: Context, connection: Connection, id_: str) -> Resource:
    row = await resources.read(connection, engine.statements(ctx), "ServiceRequest", id_)
    if row is None:
        raise no_order(f"There is no ServiceRequest with the id {id_!r}")
    version, _, content = row
    if content is None:
        raise gone("ServiceRequest", id_, version)
    resource: Resource = decode(content)
    if order_type(resource) is None:
        text = f"ServiceRequest/{id_} is no order: no category says what type of order it is"
        raise no_order(text)
    return resource


async def _found(
    engine: Engine, ctx: Context, connection: Connection, reference: str
) -> list[Resource]:
    """What refers to an order: directly, by a charge, or as the cause of a step."""
    found = await referring(engine, ctx, connection, [reference], REFERRING)
    for types, parameters in ((("ImagingStudy", "DiagnosticReport"), CHARGING),
                              (("ChargeItem",), INVOICING)):  # fmt: skip
        if named := _named(found, types):
            found += await referring(engine, ctx, connection, named, parameters)
    if messages := causes(found):
        found += (await referred(engine, ctx, connection, messages)).values()
    unique = {(each["resourceType"], each["id"]): each for each in found}
    return list(unique.values())


def _named(found: Iterable[Resource], types: Sequence[str]) -> list[str]:
    return [
        f"{each['resourceType']}/{each['id']}" for each in found if each["resourceType"] in types
    ]


def _parts(event: Event) -> Iterable[output.Part]:
    yield output.value("time", "dateTime", event.time)
    yield output.value("kind", "code", event.kind)
    yield output.value("resource", "Reference", {"reference": event.resource})
    for name, type_, content in (
        ("step", "Coding", event.step),
        ("from", "code", event.origin),
        ("to", "code", event.to),
        ("actor", "Reference", event.actor),
        ("reason", "string", event.reason),
        ("text", "string", event.text),
    ):
        if content:
            yield output.value(name, type_, content)
    yield from (output.value("cause", "Reference", each) for each in event.causes)
    yield from (output.value("concerns", "Reference", each) for each in event.concerns)


TIMELINE = Operation(
    "ServiceRequest-timeline", timeline, "What happened to an order", base=OWN_BASE
)
