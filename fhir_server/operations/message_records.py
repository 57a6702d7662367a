"""What the FHIR API shows of a message: a Communication, and a Provenance of what it changed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fhir_server.hl7v2.message import parse
from fhir_server.interactions.writing import instant_text
from fhir_server.storage.messages import Held
from fhir_server.workflow.canonicals import BASE, structure_definition

Resource = dict[str, Any]

PROFILE = structure_definition("hl7v2-message")
STATE = structure_definition("hl7v2-message-state")
DIRECTION = f"{BASE}/CodeSystem/hl7v2-message-direction"
TYPE = f"{BASE}/hl7v2-message-type"
CONTROL_ID = f"{BASE}/hl7v2-control-id"
APPLICATION = f"{BASE}/hl7v2-application"
CONTENT_TYPE = "x-application/hl7-v2+er7"
INCOMING, OUTGOING = "incoming", "outgoing"

_MODE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_DATA_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
# Communication.status by what became of the message.
_STATUSES = {
    "received": "in-progress",
    "done": "completed", "sent": "completed", "queued": "in-progress", "ignored": "not-done",
    "error": "on-hold", "failed": "on-hold",
}  # fmt: skip
_MOST_NOTES = 20
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a message.

    sender, receiver: application and facility. at: received, or written, when. sent: as FHIR
        writes it, empty if the message does not say. orders: references. notes: issues, for people.
    """

    record: str
    direction: str
    state: str
    type: str
    control_id: str
    sender: tuple[str, str]
    receiver: tuple[str, str]
    size: int
    at: datetime
    patient: str = ""
    orders: Sequence[str] = ()
    reason: str = ""
    notes: Sequence[str] = field(default_factory=tuple)


def facts_of(held: Held, state: str, notes: Sequence[str] = ()) -> Facts:
    """What is told of a message that was received."""
    header = parse(held.content).header if held.type else None
    receiver = (header.value(5), header.value(6)) if header is not None else ("", "")
    return Facts(
        held.record,
        INCOMING,
        state,
        held.type,
        held.control_id,
        (held.application, held.facility),
        receiver,
        len(held.content),
        held.received,
        notes=notes,
    )


def clean(text: str) -> str:
    """A text as a FHIR string can have it: what comes in messages may hold anything."""
    return " ".join(_CONTROLS.sub("\ufffd", text).split())


def communication(facts: Facts) -> Resource:
    """The Communication that tells of a message (R4 communication.html)."""
    facts = replace(
        facts,
        type=clean(facts.type),
        control_id=clean(facts.control_id),
        sender=(clean(facts.sender[0]), clean(facts.sender[1])),
        receiver=(clean(facts.receiver[0]), clean(facts.receiver[1])),
        reason=clean(facts.reason),
        notes=[text for each in facts.notes if (text := clean(each))],
    )
    made: Resource = {
        "resourceType": "Communication",
        "id": facts.record,
        "meta": {"profile": [PROFILE]},
        "extension": [{"url": STATE, "valueCode": facts.state}],
        "status": _STATUSES[facts.state],
        "category": [{"coding": [{"system": DIRECTION, "code": facts.direction}]}],
        "medium": [{"coding": [{"system": _MODE, "code": "ELECTRONIC"}]}],
        "topic": {"coding": [{"system": TYPE, "code": facts.type or "unknown"}]},
        "payload": [
            {
                "contentAttachment": {
                    "contentType": CONTENT_TYPE,
                    "url": f"Communication/{facts.record}/$hl7v2-message",
                    "size": facts.size,
                    "title": " ".join(e for e in (facts.type, facts.control_id) if e) or "unknown",
                }
            }
        ],
    }
    if facts.control_id.strip():
        made["identifier"] = [{"system": CONTROL_ID, "value": facts.control_id}]
    if facts.orders:
        made["basedOn"] = [{"reference": each} for each in facts.orders]
    if facts.patient:
        made["subject"] = {"reference": facts.patient}
    if any(facts.sender):
        made["sender"] = _system(facts.sender)
    if any(facts.receiver):
        made["recipient"] = [_system(facts.receiver)]
    made["received" if facts.direction == INCOMING else "sent"] = instant_text(facts.at)
    if facts.reason:
        made["statusReason"] = {"text": facts.reason}
    if facts.notes:
        made["note"] = [{"text": each} for each in facts.notes[:_MOST_NOTES]]
    return made


def _system(named: tuple[str, str]) -> Resource:
    """An application at a facility, which no resource stands for."""
    value = "|".join(named)
    display = " at ".join(each for each in named if each.strip())
    return {"identifier": {"system": APPLICATION, "value": value}, "display": display or value}


def provenance(
    id_: str, record: str, targets: Iterable[str], who: str, type_: str, at: datetime
) -> Resource:
    """The Provenance of what a message changed beside steps of orders (R4 provenance.html)."""
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": each} for each in targets],
        "recorded": instant_text(at),
        "activity": {
            "coding": [{"system": _DATA_OPERATION, "code": "UPDATE"}],
            "text": f"HL7 v2 {type_}",
        },
        "agent": [
            {
                "type": {"coding": [{"system": _PARTICIPATION, "code": "author"}]},
                "who": {"display": who},
            }
        ],
        "entity": [{"role": "derivation", "what": {"reference": f"Communication/{record}"}}],
    }
