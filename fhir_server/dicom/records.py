"""What is written beside an ImagingStudy: who did what and why, what a person has to decide.

R4 provenance.html, auditevent.html, task.html, endpoint.html, device.html.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from fhir_server.dicom.mapping import DCM
from fhir_server.dicom.matching import Match
from fhir_server.workflow.canonicals import BASE
from fhir_server.workflow.recording import PARTICIPATION
from fhir_server.workflow.study_uids import SYSTEM as UID_SYSTEM
from fhir_server.workflow.study_uids import as_value

Resource = dict[str, Any]
Identity = tuple[str, str]

ACTIVITY = f"{BASE}/CodeSystem/imaging-activity"
TASK = f"{BASE}/CodeSystem/imaging-task"
CONFLICT_REASON = f"{BASE}/CodeSystem/imaging-conflict"

DEVICE = ("Device", "image-archive")
ENDPOINT = ("Endpoint", "dicomweb")
BRIDGE = {"reference": "/".join(DEVICE), "display": "Image archive"}

# DICOM PS3.16, context groups 400 and 401.
STUDY_DELETED = "110105"
_EVENT_TEXT = "DICOM Study Deleted"


def task_identity(uid: str) -> Identity:
    """The Task by which a person settles the conflict of a study."""
    return "Task", f"study-{blake2b(uid.encode(), digest_size=12).hexdigest()}"


def conflict_task(uid: str, match: Match, at: str, before: Resource) -> Resource:
    """The Task of a conflict; as it was, if it is about the same."""
    said: Resource = {
        "code": {"coding": [{"system": TASK, "code": "settle-study"}]},
        "reasonCode": {
            "coding": [{"system": CONFLICT_REASON, "code": match.reason}],
            "text": match.evidence,
        },
        "focus": {"reference": f"ImagingStudy/{uid}"},
    }
    if match.orders:
        type_ = {"coding": [{"system": TASK, "code": "candidate"}]}
        said["input"] = [
            {"type": type_, "valueReference": {"reference": each}} for each in match.orders
        ]
    if before and all(before.get(name) == value for name, value in said.items()):
        return before
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "description": "The images of a study need a person to say which order they are for",
        "authoredOn": before.get("authoredOn", at),
        "lastModified": at,
    } | said


def settled_task(task: Resource, at: str) -> Resource:
    """The Task of a conflict that is over."""
    if task["status"] in ("completed", "cancelled"):
        return task
    return task | {"status": "completed", "lastModified": at}


def provenance(
    activity: str,
    targets: Sequence[str],
    who: Resource,
    at: str,
    reason: str,
    sources: Iterable[str] = (),
) -> Resource:
    """The Provenance of something done to a study, without an id."""
    found: Resource = {
        "resourceType": "Provenance",
        "target": [{"reference": each} for each in targets],
        "occurredDateTime": at,
        "recorded": at,
        "activity": {"coding": [{"system": ACTIVITY, "code": activity}]},
        "agent": [
            {"type": {"coding": [{"system": PARTICIPATION, "code": "performer"}]}, "who": who}
        ],
        "reason": [{"text": reason}],
    }
    entities = [{"role": "source", "what": {"reference": each}} for each in sources]
    return found | ({"entity": entities} if entities else {})


def audit_of_deletion(
    uid: str, who: Resource, at: str, reason: str, *, outcome: str = "0"
) -> Resource:
    """The AuditEvent of the deletion of a study's images, without an id.

    outcome: 0 for done, 4 for asked for and not done yet.
    """
    name = {"system": UID_SYSTEM, "value": as_value(uid)}
    what = {"reference": f"ImagingStudy/{uid}", "identifier": name}
    return {
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": STUDY_DELETED, "display": _EVENT_TEXT},
        "action": "D",
        "recorded": at,
        "outcome": outcome,
        "outcomeDesc": reason,
        "agent": [{"who": who, "requestor": True}],
        "source": {"observer": BRIDGE},
        "entity": [
            {
                "what": what,
                "type": {
                    "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type",
                    "code": "2",
                },
            }
        ],
    }


def device() -> Resource:
    """The archive, as what moves orders on."""
    return {
        "resourceType": "Device",
        "status": "active",
        "deviceName": [{"name": "Image archive", "type": "user-friendly-name"}],
    }


def endpoint(address: str) -> Resource:
    """Where a viewer gets images: the base of our DICOMweb."""
    return {
        "resourceType": "Endpoint",
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs",
        },
        "payloadType": [{"coding": [{"system": DCM, "code": "113014", "display": "DICOM Study"}]}],
        "payloadMimeType": ["application/dicom"],
        "address": address,
    }
