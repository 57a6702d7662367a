"""The resources that hold the results of an order: DiagnosticReport, Observations and Flag."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.workflow.canonicals import structure_definition
from fhir_server.workflow.interpretation import interpreted
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.result_rules import RESULT_STATUS, Given, status_of

Resource = dict[str, Any]

FINDINGS = structure_definition("report-findings")
FLAG_DETAIL = "http://hl7.org/fhir/StructureDefinition/flag-detail"
FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"
SERVICE_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"

_REPORT_TITLE = "Report"
_INTERPRETERS = ("Practitioner/", "PractitionerRole/", "Organization/", "CareTeam/")
# By type of order: the service section of a report, the categories of observations and of flags.
_SECTIONS = {"imaging": "RAD", "laboratory": "LAB", "procedure": "OTH"}
_CATEGORIES = {"imaging": "imaging", "laboratory": "laboratory", "procedure": "procedure"}
_FLAGS = {"laboratory": "lab"}
_AUTHORS = (*_INTERPRETERS[:3], "Device/")


@dataclass(frozen=True, slots=True)
class About:
    """What results are about and who brings them.

    request, task: the order. subject: a reference to the patient. at: an instant, now.
    actor: who brings them.
    """

    request: Resource
    task: Resource
    subject: Resource
    actor: Resource
    at: str

    @property
    def type(self) -> str:
        """The type of the order."""
        return order_type(self.request) or ""

    @property
    def order(self) -> Resource:
        """A reference to the order."""
        return {"reference": f"ServiceRequest/{self.request['id']}"}

    @property
    def effective(self) -> str:
        """The time that results are of, if nobody says."""
        period = self.task.get("executionPeriod", {})
        return str(period.get("end") or period.get("start") or self.at)


def observation(about: About, given: Resource, results: Given, id_: str) -> Resource:
    """An observation as it is kept: what the order says already is added, nothing is replaced."""
    found: Resource = {"resourceType": "Observation", "id": id_}
    found |= {name: value for name, value in given.items() if name not in ("id", "meta", "subject")}
    found["status"] = status_of(given, results.status)
    found["basedOn"] = [about.order]
    found["subject"] = about.subject
    found["issued"] = about.at
    category = {"system": OBSERVATION_CATEGORY, "code": _CATEGORIES[about.type]}
    added = {
        "category": [{"coding": [category]}],
        "encounter": about.request.get("encounter"),
        "specimen": next(iter(about.request.get("specimen", ())), None),
        "performer": [about.actor] if _is(about.actor, _INTERPRETERS) else None,
    }
    if not any(name.startswith("effective") for name in found):
        added["effectiveDateTime"] = results.time or about.effective
    found |= {name: value for name, value in added.items() if value and name not in found}
    return interpreted(found)


def report(
    about: About, results: Given, observations: Sequence[str], earlier: Resource | None, id_: str
) -> Resource:
    """The report of an order, or its next version.

    observations: references to all of its observations.
    """
    found = dict(earlier) if earlier is not None else _new_report(about, id_)
    found |= {"status": results.status, "issued": about.at}
    if results.time or "effectiveDateTime" not in found:
        found["effectiveDateTime"] = results.time or about.effective
    if results.impression:
        found["conclusion"] = results.impression
    if results.result:
        coding = {"system": RESULT_STATUS, "code": results.result}
        found["conclusionCode"] = [{"coding": [coding]}]
    if results.findings:
        kept = [each for each in found.get("extension", ()) if each.get("url") != FINDINGS]
        found["extension"] = [*kept, {"url": FINDINGS, "valueString": results.findings}]
    if observations:
        found["result"] = [{"reference": each} for each in observations]
    if results.studies:
        found["imagingStudy"] = list(results.studies)
    interpreters = list(results.interpreters) or _interpreters(about, found)
    if interpreters:
        found["resultsInterpreter"] = interpreters
    forms = _forms(about, results, found.get("presentedForm", ()))
    return found | ({"presentedForm": forms} if forms else {})


def _new_report(about: About, id_: str) -> Resource:
    request = about.request
    section = {"system": SERVICE_SECTION, "code": _SECTIONS[about.type]}
    found: Resource = {
        "resourceType": "DiagnosticReport",
        "id": id_,
        "basedOn": [about.order],
        "category": [{"coding": [section]}],
        "code": request.get("code") or {"text": f"{about.type} report"},
        "subject": about.subject,
    }
    for name in ("encounter", "specimen"):
        if request.get(name):
            found[name] = request[name]
    if (performer := about.task.get("owner")) and _is(performer, _INTERPRETERS):
        found["performer"] = [performer]
    return found


def _interpreters(about: About, found: Resource) -> list[Resource]:
    """Who brings the results has interpreted them, unless a machine did or somebody is named."""
    actor = about.actor
    if "reference" not in actor:
        return list(found.get("resultsInterpreter") or [actor])
    return [actor] if _is(actor, _INTERPRETERS) else list(found.get("resultsInterpreter", ()))


def _is(reference: Resource, types: Sequence[str]) -> bool:
    return str(reference.get("reference", "")).startswith(tuple(types))


def _forms(about: About, results: Given, earlier: Sequence[Resource]) -> list[Resource]:
    """The text as an attachment, then other forms; what is given replaces what was of its kind."""
    texts = [each for each in earlier if each.get("title") == _REPORT_TITLE]
    others = [each for each in earlier if each.get("title") != _REPORT_TITLE]
    if results.text:
        data = b64encode(results.text.encode()).decode()
        texts = [
            {
                "contentType": "text/plain; charset=utf-8",
                "data": data,
                "title": _REPORT_TITLE,
                "creation": about.at,
            }
        ]
    return [*texts, *(results.forms or others)]


def flag(about: About, report_id: str, what: str, id_: str) -> Resource:
    """What asks somebody to acknowledge critical results (R4 flag.html)."""
    category = {"system": FLAG_CATEGORY, "code": _FLAGS.get(about.type, "clinical")}
    found: Resource = {
        "resourceType": "Flag",
        "id": id_,
        "extension": [
            {"url": FLAG_DETAIL, "valueReference": {"reference": f"DiagnosticReport/{report_id}"}}
        ],
        "status": "active",
        "category": [{"coding": [category]}],
        "code": {"coding": [{"system": RESULT_STATUS, "code": "critical"}], "text": what},
        "subject": about.subject,
        "period": {"start": about.at},
    }
    if encounter := about.request.get("encounter"):
        found["encounter"] = encounter
    if _is(about.actor, _AUTHORS):
        found["author"] = about.actor
    return found


def acknowledged(given: Resource, at: str) -> Resource:
    """A flag that somebody has seen."""
    return given | {"status": "inactive", "period": given.get("period", {}) | {"end": at}}
