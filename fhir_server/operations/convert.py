"""$convert: a resource in another format (R4 resource-operation-convert.html)."""

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters


async def convert(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The resource that was sent, in the format that the client accepts."""
    return output.resource(parameters.one("input"))


CONVERT = Operation("Resource-convert", convert, "The resource, in the format that is accepted")
