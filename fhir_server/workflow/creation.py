"""What comes into being with an order: its start, its Task, and the Provenance that tells of it."""

from typing import Any

from fhir_server.workflow.canonicals import (
    ORDER_TYPE,
    TASK_CODE,
    structure_definition,
)
from fhir_server.workflow.checks import Surroundings
from fhir_server.workflow.orders import Resource
from fhir_server.workflow.recording import business_status, provenance
from fhir_server.workflow.refusals import invalid
from fhir_server.workflow.states import State

TYPE_EXTENSION = structure_definition("order-type")
MODALITY_EXTENSION = structure_definition("order-modality")
# A clinical indication has at least so many characters, and at most.
INDICATION = (10, 2000)

# Of the order, as the Task has them too.
_SHARED = {"subject": "for", "encounter": "encounter", "requester": "requester",
           "priority": "priority"}  # fmt: skip


def started(order: Resource, state: State, at: str) -> Resource:
    """An order in its first state. Raises `Invalid`, 422, for one that says it is in another."""
    given = order.get("status")
    if given not in ("active", state.request):
        text = f"An order begins with the status active, not {given}"
        raise invalid(text, "ServiceRequest.status")
    return {"authoredOn": at} | order | {"status": state.request}


def with_indication(order: Resource, around: Surroundings) -> Resource:
    """An order whose diagnosis gives the indication, where the order itself gives none."""
    if any(each.get("text") for each in order.get("reasonCode", ())):
        return order
    conditions = (around.at(each) for each in order.get("reasonReference", ()))
    codes = [each["code"] for each in conditions if each and each.get("code")]
    found = [indication for code in codes if (indication := _indication(code))]
    return order if not found or order.get("reasonCode") else order | {"reasonCode": found}


def _indication(code: Resource) -> Resource:
    """A diagnosis as an indication; its text only where that is long enough to be one."""
    texts = [code.get("text", ""), *(each.get("display", "") for each in code.get("coding", ()))]
    least, most = INDICATION
    long_enough = (each for each in texts if least <= len(each.strip()) and len(each) <= most)
    bare = {name: value for name, value in code.items() if name == "coding"}
    text = next(long_enough, "")
    return bare | {"text": text} if text else bare


def task_of(order: Resource, id_: str, type_: str, state: State, at: str) -> Resource:
    """The Task that fulfils an order."""
    reference = {"reference": f"ServiceRequest/{id_}"}
    task: Resource = {
        "resourceType": "Task",
        "basedOn": [reference],
        "status": state.task,
        "businessStatus": business_status(state.code, state.display),
        "intent": "order",
        "code": {"coding": [{"system": TASK_CODE, "code": "fulfill"}]},
        "focus": reference,
        "authoredOn": at,
        "lastModified": at,
    }
    return following(task, order, type_)


def following(task: Resource, order: Resource, type_: str) -> Resource:
    """A Task that has from its order what work lists are searched by."""
    kept = {name: value for name, value in task.items() if name not in _SHARED.values()}
    shared = {name: order[source] for source, name in _SHARED.items() if source in order}
    return kept | shared | {"extension": _extensions(task, order, type_)}


def _extensions(task: Resource, order: Resource, type_: str) -> list[Any]:
    own = (TYPE_EXTENSION, MODALITY_EXTENSION)
    others = [each for each in task.get("extension", ()) if each.get("url") not in own]
    modality = [e for e in order.get("extension", ()) if e.get("url") == MODALITY_EXTENSION]
    type_extension = {
        "url": TYPE_EXTENSION,
        "valueCoding": {"system": ORDER_TYPE, "code": type_},
    }
    return [type_extension, *modality, *others]


def told(
    step: str, id_: str, actor: Resource, at: str, states: tuple[str, str] = ("", "")
) -> Resource:
    """The Provenance of what became of an order and its Task by a plain write, without an id."""
    targets = [f"ServiceRequest/{id_}", f"Task/{id_}"]
    return provenance(step, targets=targets, actor=actor, at=at, states=states)


def with_history(resource: Resource, provenance_id: str) -> Resource:
    """An order or Task that tells of a further Provenance."""
    reference = {"reference": f"Provenance/{provenance_id}"}
    return resource | {"relevantHistory": [*resource.get("relevantHistory", ()), reference]}
