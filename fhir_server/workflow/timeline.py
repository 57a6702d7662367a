"""What happened to an order, oldest first, told by what refers to it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fhir_server.workflow.canonicals import ORDER_STEP
from fhir_server.workflow.recording import TRANSITION

Resource = dict[str, Any]

# What is looked for: search parameters by which it refers to the order.
REFERRING = (
    ("Provenance", "target"), ("ImagingStudy", "basedon"), ("DiagnosticReport", "based-on"),
    ("Communication", "based-on"), ("MessageHeader", "focus"), ("ChargeItem", "order"),
)  # fmt: skip
# What refers to studies and reports of the order, and what to charges for all of these.
CHARGING = (("ChargeItem", "service"),)
INVOICING = (("Invoice", "charge-item"),)

KINDS = MappingProxyType({
    "Provenance": "step", "ImagingStudy": "study", "DiagnosticReport": "report",
    "Communication": "message", "MessageHeader": "message", "ChargeItem": "charge",
    "Invoice": "invoice",
})  # fmt: skip
MESSAGES = ("Communication", "MessageHeader")

_TIMES: Mapping[str, tuple[str, ...]] = {
    "Provenance": ("occurredDateTime", "recorded"),
    "ImagingStudy": ("started",),
    "DiagnosticReport": ("issued", "effectiveDateTime"),
    "Communication": ("sent", "received"),
    "ChargeItem": ("occurrenceDateTime", "enteredDate"),
    "Invoice": ("date",),
}


@dataclass(slots=True)
class Event:
    """Something that happened.

    step, origin, to, actor, reason: of a step. causes, concerns: references.
    """

    time: str
    kind: str
    resource: str
    step: Resource | None = None
    origin: str = ""
    to: str = ""
    actor: Resource | None = None
    reason: str = ""
    text: str = ""
    causes: list[Resource] = field(default_factory=list)
    concerns: list[Resource] = field(default_factory=list)


def events(
    order: Resource, found: Iterable[Resource], instant: Callable[[str], int]
) -> list[Event]:
    """What happened to an order, oldest first.

    found: what refers to it. instant: a number for a time as FHIR writes it, greater for later.
    Steps of one instant stand as they were taken.
    """
    history = [each.get("reference") for each in order.get("relevantHistory", ())]
    places = {reference: place for place, reference in enumerate(history)}
    told = [_event(order, each) for each in found]
    return sorted(
        told,
        key=lambda each: (instant(each.time), places.get(each.resource, len(places)), each.kind),
    )


def causes(found: Iterable[Resource]) -> set[str]:
    """References to the messages that made steps happen."""
    return {
        what["reference"]
        for each in found
        if each["resourceType"] == "Provenance"
        for what in _entities(each)
        if str(what.get("reference", "")).startswith(tuple(f"{type_}/" for type_ in MESSAGES))
    }


def _event(order: Resource, resource: Resource) -> Event:
    type_ = resource["resourceType"]
    event = Event(_time(resource), KINDS[type_], f"{type_}/{resource['id']}")
    if type_ == "Provenance":
        _tell_step(order, resource, event)
    else:
        event.text = _text(resource)
    return event


def _time(resource: Resource) -> str:
    names = _TIMES.get(resource["resourceType"], ())
    found = next((resource[name] for name in names if name in resource), None)
    return str(found or resource["meta"]["lastUpdated"])


def _tell_step(order: Resource, provenance: Resource, event: Event) -> None:
    own = {f"{type_}/{order['id']}" for type_ in ("ServiceRequest", "Task")}
    codings = provenance.get("activity", {}).get("coding", ())
    event.step = next((each for each in codings if each.get("system") == ORDER_STEP), None)
    if event.step is None:
        event.kind = "record"
    for extension in provenance.get("extension", ()):
        if extension.get("url") == TRANSITION:
            states = {each["url"]: each["valueCoding"]["code"] for each in extension["extension"]}
            event.origin, event.to = states.get("from", ""), states.get("to", "")
    event.actor = next((each["who"] for each in provenance.get("agent", ())), None)
    event.reason = next((each.get("text", "") for each in provenance.get("reason", ())), "")
    event.causes = list(_entities(provenance))
    event.concerns = [each for each in provenance["target"] if each.get("reference") not in own]


def _entities(provenance: Resource) -> Iterable[Resource]:
    """What made a step happen; what it made use of is no cause."""
    return (
        each["what"] for each in provenance.get("entity", ()) if each.get("role") == "derivation"
    )


def _text(resource: Resource) -> str:
    for coding in resource.get("topic", {}).get("coding", ()):
        if coding.get("code"):
            return str(coding["code"])
    for name in ("conclusion", "description", "status"):
        if text := resource.get(name):
            return str(text)
    event: Resource = resource.get("eventCoding", {})
    return str(event.get("code") or resource.get("eventUri", ""))
