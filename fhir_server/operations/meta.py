"""$meta: the profiles, tags and security labels in use (R4 resource-operation-meta.html)."""

from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import read, vread
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.labels import identity
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.search.conditions import any_of
from fhir_server.search.labels import labels
from fhir_server.search.query import Query, parse

_PARAMETERS = ("_profile", "_security", "_tag")
# A Meta must not be empty.
_NONE = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "not-applicable",
        }
    ]
}


async def meta(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The meta of a resource or a version of it, or the labels in use in a type or everywhere."""
    if parameters.id:
        found = await _of_resource(engine, ctx, parameters)
    else:
        found = await _in_use(engine, ctx, parameters.type)
    return answer(found)


def answer(meta: dict[str, Any]) -> Result:
    """A Meta as the operations on it answer."""
    return output.parameters([output.value("return", "Meta", meta or _NONE)])


async def _of_resource(engine: Engine, ctx: Context, parameters: Parameters) -> dict[str, Any]:
    version = parameters.request.version
    request = Request("GET", parameters.type, parameters.id, version)
    result = await (vread if version else read)(engine, ctx, request)
    found: dict[str, Any] = decode(result.body or b"")["meta"]
    return found


async def _in_use(engine: Engine, ctx: Context, type_: str) -> dict[str, Any]:
    index = engine.searchable(ctx)
    where = engine.circumstances(ctx)
    conditions = [
        parse(index.parameters, type_, [(f"{code}:missing", "false")], where).condition
        for code in _PARAMETERS
    ]
    query = Query((type_,) if type_ else (), any_of(conditions))
    found: dict[str, dict[tuple[str, str], Any]] = {}
    async with engine.store.connection(ctx.tenant) as connection:
        for kind, label in await labels(engine.settling(ctx, connection), query):
            found.setdefault(kind, {}).setdefault(identity(label), label)
    return {
        kind: [label for _, label in sorted(each.items())] for kind, each in sorted(found.items())
    }


META = Operation(
    "Resource-meta", meta, "The profiles, tags and security labels in use", versions=True
)
