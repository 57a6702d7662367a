"""$meta-add and $meta-delete (R4 resource-operation-meta-add.html, -meta-delete.html)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.patch import patch
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.operations.labels import LABELS, with_labels, without_labels
from fhir_server.operations.meta import answer
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue

_Change = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


async def _change(change: _Change, engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Store the version with the changed labels; nothing is stored if nothing changes.

    Raises `NotFound`, `Gone`, `PreconditionFailed` and `Conflict`, as a patch does.
    """
    given = parameters.one("meta")
    if not any(name in given for name in LABELS):
        text = f"The meta names no label; expected one of {', '.join(LABELS)}"
        raise Invalid(Issue("required", text))

    def changed(resource: dict[str, Any]) -> dict[str, Any]:
        return resource | {"meta": change(resource.get("meta", {}), given)}

    asked = parameters.request
    request = Request("PATCH", asked.type, asked.id, patch=changed, if_match=asked.if_match)
    result = await patch(engine, ctx, request)
    found = answer(decode(result.body or b"")["meta"])
    found.version, found.last_updated = result.version, result.last_updated
    return found


META_ADD = Operation(
    "Resource-meta-add",
    partial(_change, with_labels),
    "Add profiles, tags and security labels",
    writes=True,
)
META_DELETE = Operation(
    "Resource-meta-delete",
    partial(_change, without_labels),
    "Remove profiles, tags and security labels",
    writes=True,
)
