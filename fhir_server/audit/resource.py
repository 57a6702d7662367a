"""Events of the trail as AuditEvents (R4 auditevent.html, and IHE's Basic Audit Log Patterns)."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage.audit_reading import Row

Json = dict[str, Any]

TYPE = "AuditEvent"
# The ids of events of the trail begin with this, and no other AuditEvent's may.
PREFIX = "trail-"

ACTION = "http://hl7.org/fhir/audit-event-action"
OUTCOME = "http://hl7.org/fhir/audit-event-outcome"
RESTFUL = "http://hl7.org/fhir/restful-interaction"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
INTERACTION = f"{OWN_BASE}/CodeSystem/audit-interaction"
ROLE = f"{OWN_BASE}/CodeSystem/role"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_PERSON, _OBJECT = "1", "2"
_PATIENT_ROLE, _DOMAIN_ROLE, _QUERY_ROLE = "1", "4", "24"
_IP = "2"

REST = (EVENT_TYPE, "rest")
# What happened, by the door through which; what is not here came in by FHIR.
TYPES = {
    "login": (DCM, "110114"),
    "dicomweb": (DCM, "110103"),
    "upload": (DCM, "110107"),
    "mllp": (DCM, "110107"),
    "worklist": (DCM, "110112"),
    "dicom": (DCM, "110112"),
    "export": (DCM, "110106"),
    "administration": (DCM, "110137"),
}
# Codes of R4's restful-interaction, by the names that interactions have here.
CODES = {
    **{
        name: name
        for name in (
            "read", "vread", "update", "patch", "delete", "history-instance", "history-type",
            "history-system", "create", "capabilities", "batch", "transaction",
        )
    },
    "search": "search-type",
    "search-post": "search-type",
    "search-compartment": "search-type",
    "search-compartment-post": "search-type",
    "search-system": "search-system",
    "search-system-post": "search-system",
    "update-conditional": "update",
    "patch-conditional": "patch",
    "delete-conditional": "delete",
}  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def audit_event(row: Row, names: Mapping[int, str]) -> Json:
    """The AuditEvent of an event. names: `Type/id` of the resources that keys name."""
    recorded = instant_of(row)
    system, code = TYPES.get(row.door, REST)
    found: Json = {
        "resourceType": TYPE,
        "id": f"{PREFIX}{row.seq}",
        "meta": {"versionId": "1", "lastUpdated": recorded},
        "type": {"system": system, "code": code},
        "subtype": _subtypes(row),
        "action": row.action,
        "recorded": recorded,
        "outcome": row.outcome,
    }
    if row.reason:
        found["outcomeDesc"] = row.reason
    found["agent"] = [_agent(row), *_program(row)]
    found["source"] = {
        "observer": {"display": "fhir-server"},
        "type": [{"system": _SOURCE_TYPE, "code": "4"}],
    }
    if entities := [*_asked(row), *_shown(row, names), *_query(row), *_request(row)]:
        found["entity"] = entities
    return found


def instant_of(row: Row) -> str:
    """When it was recorded, as an instant."""
    text = (_EPOCH + timedelta(microseconds=row.recorded)).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def _subtypes(row: Row) -> list[Json]:
    own = {"system": INTERACTION, "code": row.interaction}
    code = CODES.get(row.interaction)
    return [own] if code is None else [{"system": RESTFUL, "code": code}, own]


def _agent(row: Row) -> Json:
    who = {"reference": row.fhir_user} if row.fhir_user else {}
    found: Json = {"who": who | {"display": row.principal}, "altId": row.principal}
    if row.roles:
        codes = [{"system": ROLE, "code": code} for code in row.roles.split(",")]
        found["role"] = [{"coding": [code]} for code in codes]
    found["requestor"] = True
    if row.address:
        found["network"] = {"address": row.address, "type": _IP}
    return found


def _program(row: Row) -> list[Json]:
    if not row.client:
        return []
    kind = {"coding": [{"system": DCM, "code": "110150", "display": "Application"}]}
    who = {"display": row.client}
    return [{"type": kind, "who": who, "requestor": False}]


def _asked(row: Row) -> list[Json]:
    if not row.id:
        return []
    reference = f"{row.type}/{row.id}"
    if row.version:
        reference += f"/_history/{row.version}"
    found = _entity(row.type, reference)
    if row.old_version:
        old = f"{row.type}/{row.id}/_history/{row.old_version}"
        found["detail"] = [{"type": "superseded", "valueString": old}]
    return [found]


def _shown(row: Row, names: Mapping[int, str]) -> list[Json]:
    own = f"{row.type}/{row.id}"
    found = [names[key] for key in row.keys if key in names]
    return [_entity(name.partition("/")[0], name) for name in found if name != own]


def _entity(type_: str, reference: str) -> Json:
    person = type_ == "Patient"
    return {
        "what": {"reference": reference},
        "type": {"system": _ENTITY_TYPE, "code": _PERSON if person else _OBJECT},
        "role": {"system": _OBJECT_ROLE, "code": _PATIENT_ROLE if person else _DOMAIN_ROLE},
    }


def _query(row: Row) -> list[Json]:
    if not row.query:
        return []
    return [
        {
            "type": {"system": _ENTITY_TYPE, "code": _OBJECT},
            "role": {"system": _OBJECT_ROLE, "code": _QUERY_ROLE},
            "query": b64encode(f"{row.type}?{row.query}".encode()).decode(),
        }
    ]


def _request(row: Row) -> list[Json]:
    if not row.request_id:
        return []
    kind = {"system": _BALP_ENTITY, "code": "XrequestId"}
    return [{"what": {"identifier": {"value": row.request_id}}, "type": kind}]
