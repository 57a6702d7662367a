"""An order whose images are there is carried out: its steps are taken as a device takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.dicom.records import BRIDGE
from fhir_server.fhir_json import decode
from fhir_server.interactions.rules import Change
from fhir_server.interactions.writing import instant_text
from fhir_server.outcome import Conflict
from fhir_server.storage.resources import Stored
from fhir_server.workflow.actors import SYSTEM, Actor
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.recording import state_of
from fhir_server.workflow.states import workflow
from fhir_server.workflow.steps import Asked, Order, advance, told

Resource = dict[str, Any]
Identity = tuple[str, str]

_STEP = "complete"
# Nothing is left to be done by images.
_DONE = frozenset({"completed", "reported"})


@dataclass(frozen=True, slots=True)
class Completed:
    """What becomes of an order when its images come. closed: why it cannot move on."""

    changes: tuple[Change, ...] = ()
    closed: str = ""


def complete(ctx: Context, held: Mapping[Identity, Stored], id_: str, uid: str) -> Completed:
    """Move an order on to completed, each step between told by a Provenance.

    held: locked versions of the order and its Task. uid: of the study that tells that it is done.
    """
    request, task = (_content(held.get((type_, id_))) for type_ in ("ServiceRequest", "Task"))
    if not request or not task:
        return Completed(closed=f"ServiceRequest/{id_} has no Task")
    state = state_of(task)
    if state in _DONE:
        return Completed()
    table = workflow().tables[order_type(request) or ""]
    # Whoever the work was given to stays its owner.
    inputs = {"performer": task["owner"]} if "owner" in task else {}
    system = frozenset({SYSTEM})
    actor = Actor(BRIDGE, system, ctx.principal.name, system)
    asked = Asked(_STEP, inputs, actor, instant_text(ctx.now()), [f"ImagingStudy/{uid}"])
    try:
        advanced = advance(workflow(), table, Order(request, task), asked)
    except Conflict as refused:
        return Completed(closed=str(refused))
    if advanced.order.state not in _DONE:
        return Completed(closed=f"ServiceRequest/{id_} is {state}")
    provenances = [each | {"id": ctx.new_id()} for each in told(advanced, asked)]
    history = [{"reference": f"Provenance/{each['id']}"} for each in provenances]
    changes = [
        Change(type_, id_, held[type_, id_], _with_history(resource, history), "PUT")
        for type_, resource in (
            ("ServiceRequest", advanced.order.request),
            ("Task", advanced.order.task),
        )
    ]
    changes += [Change("Provenance", each["id"], None, each, "POST") for each in provenances]
    return Completed(tuple(changes))


def _content(stored: Stored | None) -> Resource:
    found: Resource = decode(stored.content) if stored and stored.content else {}
    return found


def _with_history(resource: Resource, history: list[Resource]) -> Resource:
    return resource | {"relevantHistory": [*resource.get("relevantHistory", ()), *history]}
