"""The operations that move an order and make nothing beside (`profiles/workflow/`)."""

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations.operation import Handler, Operation
from fhir_server.operations.order_steps import Work, take_step
from fhir_server.operations.parameters import Parameters
from fhir_server.spec.operations import OWN_BASE

_SUMMARIES = {
    "verify": "Verify an order, so that it may be carried out",
    "reject": "Reject an order that waits for verification",
    "schedule": "Set when, by whom and where an order is carried out",
    "start": "Begin to carry out an order",
    "complete": "Say that an order is carried out",
    "cancel": "Cancel an order",
    "hold": "Let an order wait",
    "resume": "Let an order go on where it was put on hold",
}


def _handler(step: str) -> Handler:
    async def move(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
        return await take_step(engine, ctx, parameters, step, making=used)

    return move


async def used(work: Work) -> None:
    """What the step was shown: the coverage that pays, the specimen that is examined."""
    for name in ("coverage", "specimen"):
        work.sources += [each["reference"] for each in work.parameters.all(name)]


ORDER_MOVES = tuple(
    Operation(
        f"ServiceRequest-{step}", _handler(step), summary, writes=True, joins=True, base=OWN_BASE
    )
    for step, summary in _SUMMARIES.items()
)
