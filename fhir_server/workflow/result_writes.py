"""When results of an order may be stored by a plain write."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fhir_server.outcome import Conflict, Issue
from fhir_server.workflow.canonicals import WORKFLOW_ERROR
from fhir_server.workflow.changing import differs
from fhir_server.workflow.orders import Identity, own
from fhir_server.workflow.refusals import invalid, no_transition

# Types of results, and the search parameters by which they name their orders.
RESULTS: Mapping[str, str] = {
    "DiagnosticReport": "based-on",
    "ImagingStudy": "basedon",
    "Observation": "based-on",
}
# There is nothing yet that could have a result.
_TOO_EARLY = frozenset({"pending-verification", "ordered", "scheduled"})
_NEVER = frozenset({"cancelled", "rejected"})
_FINAL = frozenset({"final", "amended", "corrected", "appended"})
# What a plain write may make of an Observation that was issued.
_CORRECTED = frozenset({"amended", "corrected", "entered-in-error", "cancelled"})


def orders_of(resource: Mapping[str, Any], bases: Collection[str]) -> list[Identity]:
    """The ServiceRequests that a result is based on."""
    given = resource.get("basedOn", ())
    found = (own(each.get("reference", ""), bases) for each in given)
    return [each for each in found if each is not None and each[0] == "ServiceRequest"]


def check_result(
    result: Mapping[str, Any], order: Mapping[str, Any], state: str, bases: Collection[str]
) -> None:
    """Raises `Conflict` when an order in a state cannot have a result.

    Images are taken in every state, because they exist; whose they are is checked of all. Raises
    `Invalid`, 422, for a result of another patient.
    """
    type_, reference = result["resourceType"], f"ServiceRequest/{order['id']}"
    whose = [own(each.get("subject", {}).get("reference", ""), bases) for each in (result, order)]
    if whose[0] != whose[1]:
        text = f"{reference} is for {order.get('subject', {}).get('reference')}"
        raise invalid(f"{text}; expected a result of the same patient", f"{type_}.subject")
    if type_ == "ImagingStudy":
        return
    if state in _NEVER:
        raise no_transition(reference, state, f"a {type_}")
    if state in _TOO_EARLY:
        raise no_transition(reference, state, f"a {type_}", "nothing has been done for it yet")
    if type_ == "DiagnosticReport" and result.get("status") in _FINAL and state != "reported":
        hint = f"the final report is made by {reference}/$report"
        raise no_transition(reference, state, f"a {type_} that is {result['status']}", hint)


def check_issued(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raises `Conflict` when a result of an order that was issued is to say something else.

    A report is amended by an operation, which tells who did it and why; an Observation may be
    corrected by a plain write that says so in its status.
    """
    type_, status = before["resourceType"], before.get("status", "")
    if type_ == "ImagingStudy" or status not in _FINAL or not differs(before, after):
        return
    reference = f"{type_}/{before['id']}"
    if type_ == "DiagnosticReport":
        raise no_transition(reference, status, "a change", f"it is made by {reference}/$amend")
    if after.get("status") not in _CORRECTED:
        expected = ", ".join(sorted(_CORRECTED))
        raise no_transition(reference, status, "a change", f"the status of a new one: {expected}")


def no_such_order(type_: str, order: Identity) -> Conflict:
    """The refusal when a result came for an order that was just deleted."""
    text = f"{'/'.join(order)} is deleted; expected an order that exists"
    details = (WORKFLOW_ERROR, "ORDER_NOT_FOUND")
    return Conflict(Issue("not-found", text, f"{type_}.basedOn", details=details))


def names(results: Iterable[Identity]) -> list[str]:
    """References to results."""
    return ["/".join(each) for each in sorted(results)]
