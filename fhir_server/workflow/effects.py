"""What steps change in an order and its Task beside their statuses."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fhir_server.workflow.canonicals import BASE

ORDER_FACT = f"{BASE}/CodeSystem/order-fact"

Resource = dict[str, Any]
# From the ServiceRequest, the Task, the inputs, who did it and when to both as they become.
Effect = Callable[
    [Resource, Resource, Mapping[str, Any], Mapping[str, Any], str], tuple[Resource, Resource]
]


def _schedule(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    """R4 request.html, fivews.html: when, who and where, on what is asked for and on its Task."""
    start, end = inputs.get("time"), inputs.get("end")
    if start:
        period = {"start": start} | ({"end": end} if end else {})
        kept = {n: v for n, v in request.items() if not n.lstrip("_").startswith("occurrence")}
        given = {"occurrencePeriod": period} if end else {"occurrenceDateTime": start}
        request = kept | given
        task = task | {"restriction": task.get("restriction", {}) | {"period": period}}
    if performer := inputs.get("performer"):
        request = request | {"performer": [performer]}
        task = task | {"owner": performer}
    if location := inputs.get("location"):
        request = request | {"locationReference": [location]}
        task = task | {"location": location}
    if instructions := inputs.get("instructions"):
        request = request | {"patientInstruction": instructions}
    return request, task


def _collect(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    specimen = inputs["specimen"]
    known = [each.get("reference") for each in request.get("specimen", ())]
    if specimen["reference"] not in known:
        request = request | {"specimen": [*request.get("specimen", ()), specimen]}
    return request, task


def _start(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    period = task.get("executionPeriod", {}) | {"start": inputs.get("time") or at}
    return request, _performed(task, inputs, actor) | {"executionPeriod": period}


def _complete(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    period = task.get("executionPeriod", {}) | {"end": inputs.get("time") or at}
    return request, _performed(task, inputs, actor) | {"executionPeriod": period}


def _performed(task: Resource, inputs: Mapping[str, Any], actor: Mapping[str, Any]) -> Resource:
    """The Task with who carries it out, if that is said."""
    performer = inputs.get("performer") or (actor if "reference" in actor else None)
    return task | {"owner": dict(performer)} if performer else task


def _stopped(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    reason = inputs.get("reason")
    return request, task | {"statusReason": {"text": reason}} if reason else task


def _resume(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    return request, {name: value for name, value in task.items() if name != "statusReason"}


def _verify(
    request: Resource, task: Resource, inputs: Mapping[str, Any], actor: Any, at: str
) -> tuple[Resource, Resource]:
    """How the order was verified, and the coverage that pays for it."""
    if coverage := inputs.get("coverage"):
        request = _with(request, "insurance", coverage)
        task = _with(task, "insurance", coverage)
    for name in ("method", "details"):
        if text := inputs.get(name):
            task = with_fact(task, f"verification-{name}", {"valueString": text})
    return request, task


def _with(resource: Resource, name: str, reference: Resource) -> Resource:
    known = resource.get(name, [])
    return resource if reference in known else resource | {name: [*known, reference]}


def with_fact(task: Resource, code: str, value: Resource) -> Resource:
    """A Task with an output that replaces an earlier one of the same code."""
    kept = [each for each in task.get("output", ()) if not _is(each, code)]
    type_ = {"coding": [{"system": ORDER_FACT, "code": code}]}
    return task | {"output": [*kept, {"type": type_, **value}]}


def fact(task: Resource, code: str) -> Any:
    """The value of an output of a Task, None if it has none of the code."""
    found: Resource = next((each for each in task.get("output", ()) if _is(each, code)), {})
    return next((value for name, value in found.items() if name.startswith("value")), None)


def facts(task: Resource) -> list[Resource]:
    """All outputs that steps have put on a Task."""
    coded = ((each, each["type"].get("coding", ())) for each in task.get("output", ()))
    return [each for each, codings in coded if any(c.get("system") == ORDER_FACT for c in codings)]


def _is(output: Resource, code: str) -> bool:
    codings = output["type"].get("coding", ())
    return any((each.get("system"), each.get("code")) == (ORDER_FACT, code) for each in codings)


EFFECTS: Mapping[str, Effect] = MappingProxyType(
    {
        "schedule": _schedule,
        "collect-sample": _collect,
        "start": _start,
        "complete": _complete,
        "cancel": _stopped,
        "reject": _stopped,
        "hold": _stopped,
        "resume": _resume,
        "verify": _verify,
    }
)
