"""The operation `$index-status`: what the search index is made with, and how complete it is."""

from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.indexing.changes import REINDEX, definition_of
from fhir_server.indexing.progress import (
    RESEAL,
    Progress,
    Resealing,
    resealing_of,
    waiting,
)
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.storage import index_state, jobs, keys
from fhir_server.storage.index_state import READY, HeldParameter, IndexState
from fhir_server.storage.keys import SealState

_Parameter = dict[str, Any]


async def index_status(engine: Engine, ctx: Context, request: Request) -> Result:
    """Parameters with the state of the index and of each search parameter beside R4's."""
    async with engine.store.connection(ctx.tenant) as connection:
        state = await index_state.load(connection, ctx.tenant)
        found = waiting(await jobs.unfinished(connection, ctx.tenant, REINDEX))
        resealing = resealing_of(await jobs.unfinished(connection, ctx.tenant, RESEAL))
    parameters = [
        {"name": "complete", "valueBoolean": state.settled},
        {"name": "generation", "valueInteger": state.generation},
        {"name": "searchable", "valueBoolean": state.format == state.target},
    ]
    if not state.settled:
        if found.current is not None:
            parameters.append({"name": "reading", "part": _reading(found.current)})
        parameters.append({"name": "progress", "valueString": found.describe(state.generation)})
    parameters += _sealing(state.sealing, resealing)
    parameters += [_parameter(held, state) for held in state.parameters]
    return Result(200, encode({"resourceType": "Parameters", "parameter": parameters}))


def _sealing(state: SealState, progress: Resealing) -> list[_Parameter]:
    """Whether everything is encrypted at rest that should be, and else how far that is."""
    found: list[_Parameter] = [{"name": "sealed", "valueBoolean": state.state == keys.READY}]
    if state.state != keys.READY:
        text = progress.describe(state.generation)
        found.append({"name": "sealing", "valueString": f"{state.state}: {text}"})
    return found


def _reading(progress: Progress) -> list[_Parameter]:
    return [
        {"name": "total", "valueInteger": progress.total},
        {"name": "done", "valueInteger": progress.done},
        {"name": "failed", "valueInteger": progress.failed},
        *({"name": "type", "valueCode": type_} for type_ in progress.types),
    ]


def _parameter(held: HeldParameter, state: IndexState) -> _Parameter:
    definition = definition_of(held)
    searchable = held.state == READY and state.format == state.target
    return {
        "name": "parameter",
        "part": [
            {"name": "source", "valueString": held.source},
            {"name": "url", "valueUri": definition.url},
            {"name": "code", "valueCode": definition.code},
            *({"name": "base", "valueCode": base} for base in definition.base),
            {"name": "state", "valueCode": held.state},
            {"name": "searchable", "valueBoolean": searchable},
        ],
    }
