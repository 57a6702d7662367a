"""Why a step or a change of an order is refused, by the codes that clients act on."""

from fhir_server.outcome import Conflict, Forbidden, Invalid, Issue, NotFound, Refusal
from fhir_server.workflow.canonicals import WORKFLOW_ERROR


def invalid(text: str, expression: str = "", *, code: str = "value") -> Invalid:
    """What was given is wrong, whatever the state of the order: 422."""
    issue = Issue(code, text, expression, details=(WORKFLOW_ERROR, "VALIDATION_ERROR"))
    return Invalid(issue, status=422)


def no_transition(order: str, state: str, asked: str, hint: str = "") -> Conflict:
    """The state of an order does not allow what is asked for: 409.

    order: its reference. asked: the step, or the state.
    """
    text = f"{order} is {state}: {asked} is not possible{hint and f'; {hint}'}"
    details = (WORKFLOW_ERROR, "INVALID_STATUS_TRANSITION")
    return Conflict(Issue("business-rule", text, "ServiceRequest.status", details=details))


def no_order(text: str) -> NotFound:
    """There is no such order: 404."""
    return NotFound(Issue("not-found", text, details=(WORKFLOW_ERROR, "ORDER_NOT_FOUND")))


def not_permitted(text: str) -> Refusal:
    """Who asks may not do it: 403."""
    return Forbidden(Issue("forbidden", text))
