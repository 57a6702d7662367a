"""What is written down about a step: a Provenance, and a note of it on the Task.

R4 provenance.html. The note is what a step needs to know of earlier ones without looking them up:
whether it is a repetition, and where an order was before it was put on hold.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir_json import encode_sorted
from fhir_server.workflow.canonicals import ORDER_STATUS, ORDER_STEP, structure_definition

NOTE = structure_definition("order-step-note")
TRANSITION = structure_definition("order-transition")
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """The last time that a step was done.

    origin: the state of the order before. digest: of what it was done with.
    """

    step: str
    origin: str
    at: str
    digest: str
    actor: Resource


def digest(inputs: Mapping[str, Any], who: Sequence[str]) -> str:
    """Equal for equal inputs of the same people."""
    given = {name: value for name, value in inputs.items() if value not in (None, [], {})}
    return hashlib.sha256(encode_sorted([given, list(who)])).hexdigest()[:32]


def notes(task: Resource) -> dict[str, Note]:
    """What a Task tells of the steps done, by their names."""
    found = map(_note, task.get("extension", ()))
    return {note.step: note for note in found if note is not None}


def _note(extension: Resource) -> Note | None:
    """The note that an extension is; None for what is none, or not as a step writes it."""
    if extension.get("url") != NOTE:
        return None
    parts = {part["url"]: part for part in extension.get("extension", ())}
    try:
        return Note(
            parts["step"]["valueCode"],
            parts["origin"]["valueCode"],
            parts["at"]["valueInstant"],
            parts["digest"]["valueString"],
            parts["actor"]["valueReference"],
        )
    except KeyError:
        return None


def noted(task: Resource, note: Note) -> Resource:
    """A Task that tells of a step; what it told of an earlier time is replaced."""
    others = ((each, _note(each)) for each in task.get("extension", ()))
    kept = [each for each, other in others if other is None or other.step != note.step]
    parts = [
        {"url": "step", "valueCode": note.step},
        {"url": "origin", "valueCode": note.origin},
        {"url": "at", "valueInstant": note.at},
        {"url": "digest", "valueString": note.digest},
        {"url": "actor", "valueReference": note.actor},
    ]
    return task | {"extension": [*kept, {"url": NOTE, "extension": parts}]}


def provenance(
    step: str,
    *,
    targets: Sequence[str],
    actor: Resource,
    at: str,
    states: tuple[str, str] = ("", ""),
    occurred: str = "",
    reason: str = "",
    causes: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> Resource:
    """The Provenance of a step, without an id.

    targets, causes, sources: references: to what was changed, to what made the step happen (a
        message, a study), and to what it made use of (a coverage, a specimen).
    actor: a reference, or just a display. at: an instant. occurred: when, if that was not then.
    states: of the order before and after it; an empty one is left out.
    """
    found: Resource = {
        "resourceType": "Provenance",
        "target": [{"reference": each} for each in targets],
        "occurredDateTime": occurred or at,
        "recorded": at,
        "activity": {"coding": [{"system": ORDER_STEP, "code": step}]},
        "agent": [
            {"type": {"coding": [{"system": PARTICIPATION, "code": "performer"}]}, "who": actor}
        ],
    }
    parts = [
        {"url": name, "valueCoding": {"system": ORDER_STATUS, "code": state}}
        for name, state in zip(("from", "to"), states, strict=True)
        if state
    ]
    if parts:
        found["extension"] = [{"url": TRANSITION, "extension": parts}]
    if reason:
        found["reason"] = [{"text": reason}]
    entities = [("derivation", each) for each in causes] + [("source", each) for each in sources]
    if entities:
        found["entity"] = [
            {"role": role, "what": {"reference": reference}} for role, reference in entities
        ]
    return found


def business_status(state: str, display: str = "") -> Resource:
    """A state as Task.businessStatus."""
    coding = {"system": ORDER_STATUS, "code": state} | ({"display": display} if display else {})
    return {"coding": [coding]}


def state_of(task: Resource) -> str:
    """The state that a Task tells of; empty if it tells of none."""
    codings = task.get("businessStatus", {}).get("coding", ())
    return next((each["code"] for each in codings if each.get("system") == ORDER_STATUS), "")
