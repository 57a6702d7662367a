"""Moving an order by a step: from an order, its Task and what is asked to what they become.

Pure: nothing is read, nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.outcome import Invalid, Issue
from fhir_server.workflow.actors import Actor, check_permitted
from fhir_server.workflow.canonicals import WORKFLOW_ERROR
from fhir_server.workflow.effects import EFFECTS
from fhir_server.workflow.recording import (
    Note,
    business_status,
    digest,
    noted,
    notes,
    provenance,
    state_of,
)
from fhir_server.workflow.refusals import no_transition
from fhir_server.workflow.states import Step, Table, Workflow

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """An order: its ServiceRequest and its Task."""

    request: Resource
    task: Resource

    @property
    def reference(self) -> str:
        """`ServiceRequest/id`."""
        return f"ServiceRequest/{self.request['id']}"

    @property
    def state(self) -> str:
        """Where it is on its way, by the code of the state."""
        return state_of(self.task)


@dataclass(frozen=True, slots=True)
class Asked:
    """A step that somebody asks for.

    inputs: what it is done with, as FHIR values by name. at: an instant.
    causes: references to what made it happen, such as a message or a study.
    made: what was made of the inputs and belongs to them, but differs each time.
    """

    step: str
    inputs: Mapping[str, Any]
    actor: Actor
    at: str
    causes: Sequence[str] = ()
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_inputs(self) -> Mapping[str, Any]:
        """The inputs, and what was made of them."""
        return {**self.inputs, **self.made}

    @property
    def digest(self) -> str:
        """Equal for the same inputs of the same actor."""
        return digest(self.inputs, self.actor.identity)


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that an order has taken, with the states before and after it."""

    step: Step
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """What became of an order.

    taken: the steps, those in whose place a later one was done before that; none if all that was
        asked for had been done before.
    """

    order: Order
    taken: tuple[Taken, ...] = field(default=())


def advance(workflow: Workflow, table: Table, order: Order, asked: Asked) -> Advanced:
    """Move an order by a step, with the steps before it that a system need not take one by one.

    The same step with the same inputs by the same actor changes nothing the second time. Raises a
    403 `Refusal` for who may not, `Conflict` for what the state forbids, and `Invalid`, 422, for
    inputs that are missing or too short.
    """
    step = table.step(asked.step)
    if step is None:
        raise no_transition(order.reference, order.state, asked.step, f"no step of {table.type}")
    check_permitted(asked.actor, step, f"{asked.step} of {order.reference}")
    if is_repeated(table, order, asked):
        return Advanced(order)
    skipped = _skipped(table, order, step, asked)
    check_inputs(step, asked.all_inputs)
    taken = []
    for each in (*skipped, step):
        before = order.state
        order = _moved(workflow, order, each, asked)
        taken.append(Taken(each, before, order.state))
    return Advanced(order, tuple(taken))


def is_repeated(table: Table, order: Order, asked: Asked) -> bool:
    """Whether the last time that the step was done it was done with the same, and still holds."""
    note = notes(order.task).get(asked.step)
    if note is None or note.digest != asked.digest:
        return False
    return not (table.undoes(asked.step) and order.state == note.origin)


def _skipped(table: Table, order: Order, step: Step, asked: Asked) -> Sequence[Step]:
    """The steps to take first. Raises `Conflict` where none lead to where the step may be done."""
    if order.state in step.origins:
        return ()
    skipped = table.skipped(order.state, step)
    hint = f"it may be done when the order is {' or '.join(step.origins)}"
    if not skipped or not asked.actor.skips:
        raise no_transition(order.reference, order.state, step.name, hint)
    for each in skipped:
        check_permitted(asked.actor, each, f"{each.name} of {order.reference}")
        missing = [name for name in each.evidence if not asked.all_inputs.get(name)]
        if missing:
            told = f"nothing tells of {each.name}, which comes before: expected {missing[0]}"
            raise no_transition(order.reference, order.state, step.name, told)
    return skipped


def check_inputs(step: Step, inputs: Mapping[str, Any]) -> None:
    """Raises `Invalid`, 422, with everything that a step needs and was not given."""
    issues = []
    for name in step.inputs:
        given = inputs.get(name)
        if given in (None, "", [], {}):
            issues.append(_wrong("required", f"{step.name} needs {name}"))
    for name, least in (step.inputs | step.lengths).items():
        given = inputs.get(name)
        if isinstance(given, str) and given and len(given.strip()) < least:
            text = f"{name} has {len(given.strip())} characters; expected at least {least}"
            issues.append(_wrong("value", text))
    if issues:
        raise Invalid(issues, status=422)


def _wrong(code: str, text: str) -> Issue:
    return Issue(code, text, details=(WORKFLOW_ERROR, "VALIDATION_ERROR"))


def _moved(workflow: Workflow, order: Order, step: Step, asked: Asked) -> Order:
    """The order after one step."""
    after = _after(order, step)
    state = workflow.states[after]
    effect = EFFECTS.get(step.name)
    request, task = order.request, order.task
    if effect is not None and (step.name == asked.step or step.evidence):
        given = asked.all_inputs
        request, task = effect(request, task, given, asked.actor.reference, asked.at)
    note = Note(step.name, order.state, asked.at, asked.digest, dict(asked.actor.reference))
    task = noted(task, note) | {
        "status": state.task,
        "businessStatus": business_status(after, state.display),
        "lastModified": asked.at,
    }
    return replace(order, request=request | {"status": state.request}, task=task)


def _after(order: Order, step: Step) -> str:
    if step.returns:
        before = notes(order.task).get(step.returns)
        if before is None:
            told = f"nothing tells of the {step.returns} before it"
            raise no_transition(order.reference, order.state, step.name, told)
        return before.origin
    return step.to or order.state


def told(
    advanced: Advanced,
    asked: Asked,
    *,
    targets: Sequence[str] = (),
    sources: Sequence[str] = (),
    occurred: str = "",
) -> list[Resource]:
    """The Provenances of the steps taken, without ids.

    targets: what else the last step made or changed. sources: what it made use of.
    occurred: when it took place, if that was not when it was asked for.
    """
    order = advanced.order
    own = [order.reference, f"Task/{order.task['id']}"]
    found = []
    for each in advanced.taken:
        last = each.step.name == asked.step
        found.append(
            provenance(
                each.step.name,
                targets=[*own, *(targets if last else ())],
                actor=dict(asked.actor.reference),
                at=asked.at,
                states=(each.before, each.after),
                occurred=occurred,
                reason=str(asked.inputs.get("reason") or ""),
                causes=asked.causes,
                sources=sources if last else (),
            )
        )
    return found
