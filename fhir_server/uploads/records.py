"""Uploads as AuditEvents: searched by date, agent, patient, source (subtype) and outcome."""

from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.writing import instant_text
from fhir_server.uploads.report import FileReport, UploadReport
from fhir_server.workflow.canonicals import BASE, structure_definition
from fhir_server.workflow.study_uids import SYSTEM, as_value

Json = dict[str, Any]

_TYPE = {"system": f"{BASE}/CodeSystem/audit-event-type", "code": "dicom-upload"}
_SOURCE = f"{BASE}/CodeSystem/upload-source"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
# R4 audit-event-outcome.
_OUTCOMES = {"success": "0", "partial": "4", "failed": "8"}


def upload_record(ctx: Context, report: UploadReport) -> Json:
    """The record of an upload."""
    taken = sum(each.taken for each in report.files)
    found: Json = {
        "resourceType": "AuditEvent",
        "meta": {"profile": [structure_definition("dicom-upload")]},
        "type": _TYPE,
        "subtype": [{"system": _SOURCE, "code": report.source}],
        "action": "C",
        "period": {"start": instant_text(report.started), "end": instant_text(report.ended)},
        "recorded": instant_text(report.ended),
        "outcome": _OUTCOMES[report.outcome],
        "outcomeDesc": f"{report.outcome}: {taken} of {len(report.files)} files are kept",
        "agent": [{"who": {"display": ctx.principal.name}, "requestor": True}],
        "source": {"observer": {"display": "fhir-server"}},
        "entity": [*_about(report), *map(_file, report.files)],
    }
    return found


def _about(report: UploadReport) -> list[Json]:
    named = (("1", report.patient), ("20", report.order))
    return [
        {"what": {"reference": reference}, "role": {"system": _ROLE, "code": role}}
        for role, reference in named
        if reference
    ]


def _file(file: FileReport) -> Json:
    details = [("status", file.status), ("size", str(file.size)), ("md5", file.md5)]
    found: Json = {"role": {"system": _ROLE, "code": "3"}, "name": file.name}
    checked = file.checked
    if checked is not None:
        found["what"] = {"identifier": {"system": SYSTEM, "value": as_value(checked.study)}}
        details += [
            ("series", checked.series),
            ("instance", checked.instance),
            ("sop-class", checked.sop_class),
            ("transfer-syntax", checked.transfer_syntax),
            *(("warning", each) for each in checked.warnings),
        ]
        details += [(f"tag {name}", text) for name, text in checked.tags.items()]
    for name, (before, after) in file.changes.items():
        details += [(f"original {name}", before), (f"modified {name}", after)]
    if file.private_removed:
        details.append(("private-removed", str(file.private_removed)))
    if file.reason:
        found["description"] = f"{file.code}: {file.reason}"
    found["detail"] = [
        {"type": name, "valueString": text} for name, text in details if text.strip()
    ]
    return found
