"""What a plain write may change in an order and its Task once they exist."""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.fhir_json import encode_sorted
from fhir_server.outcome import Conflict, Invalid, Issue
from fhir_server.workflow.canonicals import WORKFLOW_ERROR
from fhir_server.workflow.checks import Surroundings
from fhir_server.workflow.effects import facts
from fhir_server.workflow.numbers import NumberKind
from fhir_server.workflow.orders import Resource, order_types
from fhir_server.workflow.recording import notes, state_of
from fhir_server.workflow.refusals import no_transition
from fhir_server.workflow.states import State

# What the server has put into an order stays when a client writes the order without it.
_KEPT = ("authoredOn", "relevantHistory")
# Entries come to these, and never go or change.
_GROWING = ("note", "relevantHistory")
# These say nothing of the order.
_ASIDE = ("id", "meta", "implicitRules", "language", "text")
# What an order's Task has from the order and from the steps.
_OF_TASK = (
    "status", "businessStatus", "code", "intent", "focus", "for", "basedOn", "encounter",
    "requester", "priority",
)  # fmt: skip


def changed(
    before: Resource,
    after: Resource,
    state: State,
    kinds: Iterable[NumberKind],
    around: Surroundings,
) -> Resource:
    """An order as a plain write leaves it, with what the server had put there.

    Raises `Conflict` for another status and for an order that is over, and `Invalid`, 422, with
    everything else that cannot change.
    """
    after = _completed(before, after, kinds)
    reference = f"ServiceRequest/{before['id']}"
    if after.get("status") != before.get("status"):
        hint = f"the status follows from operations such as ServiceRequest/{before['id']}/$cancel"
        asked = f"the status {after.get('status')} in place of {before.get('status')}"
        raise no_transition(reference, state.code, asked, hint)
    issues = [*_fixed(before, after, kinds, around), *_shrunk(before, after)]
    if issues:
        raise Invalid(issues, status=422)
    if not state.open and differs(before, after):
        raise no_transition(reference, state.code, "a change", "what it says is final")
    return after


def differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether what two versions say of the order is different."""
    return _said(before) != _said(after)


def _said(resource: Mapping[str, Any]) -> bytes:
    said = {name: value for name, value in resource.items() if name not in _ASIDE}
    return encode_sorted(said)


def _completed(before: Resource, after: Resource, kinds: Iterable[NumberKind]) -> Resource:
    after = {name: before[name] for name in _KEPT if name in before} | after
    for kind in kinds:
        number = kind.of(before)
        if number is not None and kind.of(after) is None:
            after = kind.with_number(after, number)
    return after


def _fixed(
    before: Resource, after: Resource, kinds: Iterable[NumberKind], around: Surroundings
) -> Iterable[Issue]:
    if order_types(after) != order_types(before):
        was, asked = ", ".join(order_types(before)), ", ".join(order_types(after)) or "no order"
        yield _final("category", f"The type of an order cannot change from {was} to {asked}")
    if after.get("intent") != before.get("intent"):
        text = f"from {before.get('intent')} to {after.get('intent')}"
        yield _final("intent", f"The intent of an order cannot change {text}")
    if around.own(before.get("subject", {})) != around.own(after.get("subject", {})):
        text = f"The patient of an order cannot change from {_told(before)} to {_told(after)}"
        yield _final("subject", text)
    for kind in kinds:
        old, new = kind.of(before) or {}, kind.of(after) or {}
        if (old.get("system"), old.get("value")) != (new.get("system"), new.get("value")):
            text = f"The {kind.name} cannot change from {old.get('value')} to {new.get('value')}"
            yield _final("identifier", text)


def _told(order: Resource) -> str:
    return str(order.get("subject", {}).get("reference", "none"))


def _shrunk(before: Resource, after: Resource) -> Iterable[Issue]:
    for name in _GROWING:
        left = [encode_sorted(each) for each in after.get(name, ())]
        for each in before.get(name, ()):
            if encode_sorted(each) not in left:
                shown = each.get("text") or each.get("reference")
                text = f"Entries of {name} are added and never replaced; missing: {shown!r}"
                yield _final(name, text)


def _final(element: str, text: str) -> Issue:
    details = (WORKFLOW_ERROR, "VALIDATION_ERROR")
    return Issue("business-rule", text, f"ServiceRequest.{element}", details=details)


def check_task(before: Resource, after: Resource) -> None:
    """Raises `Conflict` when a plain write changes what an order's Task has from its order."""
    reference, state = before["focus"]["reference"], state_of(before)
    for name in _OF_TASK:
        if encode_sorted(before.get(name)) != encode_sorted(after.get(name)):
            hint = f"steps of the order do that, such as {reference}/$cancel"
            raise no_transition(reference, state, f"another {name} of its Task", hint)
    for what, told in (("notes of steps", notes), ("facts", facts)):
        if told(before) != told(after):
            raise no_transition(reference, state, f"a change of the {what} of its Task")


def foreign_task(order_id: str) -> Conflict:
    """The refusal when the place of an order's Task is taken."""
    text = f"Task/{order_id} is there already, and is not the Task of ServiceRequest/{order_id}"
    return Conflict(Issue("duplicate", text, "ServiceRequest.id"))


def task_needed(order: Resource) -> Conflict:
    """The refusal when the Task of an order is to be deleted."""
    text = f"Task/{order['id']} stays as long as ServiceRequest/{order['id']}, which it fulfils"
    return Conflict(Issue("business-rule", text))


def has_results(order_id: str, state: str, results: Iterable[str]) -> Conflict:
    """The refusal when an order with results is to be deleted."""
    hint = f"it has results: {', '.join(results)}"
    return no_transition(f"ServiceRequest/{order_id}", state, "delete", hint)
