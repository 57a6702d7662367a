"""Patient/$everything and Encounter/$everything.

R4 patient-operation-everything.html, encounter-operation-everything.html.
"""

from fhir_server.context import Context
from fhir_server.interactions.compartments import membership
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import gone, not_found
from fhir_server.interactions.result import Result
from fhir_server.operations.care_dates import CARE_DATES
from fhir_server.operations.operation import Operation
from fhir_server.operations.paging import paged
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.conditions import Condition, all_of, any_of
from fhir_server.search.linked import care_between, linked
from fhir_server.search.query import Query, parse
from fhir_server.search.values import EARLIEST, LATEST, Instants
from fhir_server.storage import resources
from fhir_server.storage.store import Connection


async def everything(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The compartment of a patient or encounter with what it refers to, a page at a time.

    References are followed on, but not to what may be of another patient. Raises `NotFound`,
    `Gone` and `Invalid`.
    """
    types = _types(engine, parameters)
    async with engine.store.connection(ctx.tenant) as connection:
        await _check_exists(engine, ctx, parameters, connection)
        at = engine.settling(ctx, connection)
        group = membership(
            engine.definitions, engine.index(ctx).parameters, (parameters.type, parameters.id), ""
        )
        personal = engine.definitions.compartments["Patient"].parameters
        # Whatever a patient's own resources refer to and is personal is either theirs, and so found
        # already, or somebody else's.
        first = personal if parameters.type == "Patient" else ()
        condition = any_of([group, await linked(at, group, first, personal)])
        bounds = [*_since(engine, ctx, parameters), *_cared(engine, ctx, parameters)]
        query = Query(types, condition=all_of([condition, *bounds]))
        path = f"{parameters.type}/{parameters.id}/$everything"
        return await paged(engine, ctx, at, query, parameters, path)


async def _check_exists(
    engine: Engine, ctx: Context, parameters: Parameters, connection: Connection
) -> None:
    type_, id_ = parameters.type, parameters.id
    statements = engine.statements(ctx)
    row = await resources.read(connection, statements, type_, id_)
    if row is None:
        raise not_found(type_, id_)
    if row[2] is None:
        raise gone(type_, id_, row[0])


def _types(engine: Engine, parameters: Parameters) -> tuple[str, ...]:
    names = [name for text in parameters.all("_type") for name in text.split(",")]
    strange = [name for name in names if name not in engine.definitions.resource_types]
    if strange:
        raise Invalid(Issue("value", f"_type: {strange[0]!r} is no resource type of R4"))
    return tuple(dict.fromkeys(names))


def _since(engine: Engine, ctx: Context, parameters: Parameters) -> list[Condition]:
    text = parameters.text("_since")
    if not text:
        return []
    known = engine.searchable(ctx).parameters
    since = [("_lastUpdated", f"ge{text}")]
    return [parse(known, "", since, engine.circumstances(ctx)).condition]


def _cared(engine: Engine, ctx: Context, parameters: Parameters) -> list[Condition]:
    """What `start` and `end` ask; both days count, in the time zone of the server."""
    start, end = parameters.text("start"), parameters.text("end")
    if not (start or end):
        return []
    instants = Instants(engine.where.zone)
    try:
        low = instants.of_text(start)[0] if start else EARLIEST
        high = instants.of_text(end)[1] if end else LATEST
    except ValueError as error:
        raise Invalid(Issue("value", f"start={start}, end={end}: {error}")) from None
    if low >= high:
        raise Invalid(Issue("invalid", f"The start {start} is after the end {end}"))
    known = engine.searchable(ctx).parameters
    found = (known.get(type_, code) for type_, code in CARE_DATES.items())
    return [care_between([each.hash for each in found if each], low, high)]


PATIENT_EVERYTHING = Operation(
    "Patient-everything",
    everything,
    "Everything that is known of a patient",
    levels=("instance",),
    paged=True,
)
ENCOUNTER_EVERYTHING = Operation(
    "Encounter-everything", everything, "Everything that belongs to an encounter", paged=True
)
