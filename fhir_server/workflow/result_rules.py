"""The rules for results of orders, whoever brings them (R4 diagnostics-module.html)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import Invalid, Issue
from fhir_server.workflow.canonicals import BASE, WORKFLOW_ERROR, structure_definition
from fhir_server.workflow.interpretation import CRITICAL, codes
from fhir_server.workflow.states import Step

Resource = dict[str, Any]

RESULT_STATUS = f"{BASE}/CodeSystem/result-status"
PANEL_MEMBER = structure_definition("order-panel-member")
RESULTS = ("normal", "abnormal", "critical")
FINAL = "final"
INTERIM = ("preliminary", "partial")
AMENDED = ("amended", "corrected", "appended")

# What an Observation is while its report has a status.
_STATUSES = {
    "preliminary": "preliminary", "partial": "preliminary", "final": "final",
    "amended": "amended", "corrected": "corrected", "appended": "final",
}  # fmt: skip
_KEPT_STATUSES = ("cancelled",)
_WRONG_STATUSES = ("entered-in-error",)
_HAS_RESULT = ("dataAbsentReason", "component", "hasMember")


@dataclass(frozen=True, slots=True)
class Given:
    """Results as they are brought.

    status: of the report. result: one of `RESULTS`; empty if an amendment leaves it as it was.
    observations: as given, checked by R4 already.
    forms: attachments. time: the time that the results are of, empty if nobody says.
    """

    status: str
    findings: str = ""
    impression: str = ""
    text: str = ""
    result: str = ""
    observations: Sequence[Resource] = ()
    interpreters: Sequence[Resource] = ()
    studies: Sequence[Resource] = ()
    forms: Sequence[Resource] = ()
    time: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is brought beside a status."""
        texts = (self.findings, self.impression, self.text, self.result)
        return not any((*texts, self.observations, self.interpreters, self.studies, self.forms))


def step_of(status: str) -> str:
    """The step that a report of a status is. Raises `Invalid`, 422, for another status."""
    if status in INTERIM:
        return "preliminary-report"
    if status in ("", FINAL):
        return "report"
    raise _invalid([f"status={status!r}: expected {FINAL} or {' or '.join(INTERIM)}"])


def check_given(given: Given, request: Resource, all_observations: Sequence[Resource]) -> None:
    """Raises `Invalid`, 422, with everything wrong in results for an order.

    request: the order. all_observations: those of the report, earlier ones included.
    """
    problems = [*_wrong_result(given, all_observations)]
    for number, observation in enumerate(given.observations):
        place = f"observation {number + 1} ({name_of(observation)})"
        problems += [f"{place}: {each}" for each in _wrong_observation(observation)]
    if given.status == FINAL:
        problems += _missing(request, all_observations)
    if problems:
        raise _invalid(problems)


def _wrong_result(given: Given, observations: Sequence[Resource]) -> Iterator[str]:
    if given.result and given.result not in RESULTS:
        yield f"result={given.result!r}: expected {', '.join(RESULTS)}"
    critical = [name_of(each) for each in observations if CRITICAL & set(codes(each))]
    if critical and given.result and given.result != "critical":
        yield f"result is {given.result}, but {', '.join(critical)} is critical; expected critical"


def _wrong_observation(observation: Resource) -> Iterator[str]:
    if observation.get("status") in _WRONG_STATUSES:
        yield f"its status is {observation['status']}"
    valued = any(name.startswith("value") for name in observation)
    if not valued and not any(observation.get(name) for name in _HAS_RESULT):
        yield "it has neither a value nor a dataAbsentReason that tells why not"


def _missing(request: Resource, observations: Sequence[Resource]) -> Iterator[str]:
    """The members of a panel that have no result: then the report is partial yet."""
    given = {coding for each in observations for coding in codings(each)}
    for extension in request.get("extension", ()):
        member = extension.get("valueCoding", {})
        if extension.get("url") != PANEL_MEMBER or not member.get("code"):
            continue
        if (member.get("system", ""), member["code"]) not in given:
            name = member.get("display", member["code"])
            yield f"the panel lacks {name}: report it as partial, or say why by dataAbsentReason"


def codings(observation: Resource) -> Iterator[tuple[str, str]]:
    """The codes of what an observation is of."""
    for each in observation.get("code", {}).get("coding", ()):
        if "code" in each:
            yield each.get("system", ""), each["code"]


def name_of(observation: Resource) -> str:
    """What an observation is of, for people."""
    code = observation.get("code", {})
    first: Resource = next(iter(code.get("coding", ())), {})
    return str(code.get("text") or first.get("display") or first.get("code") or "without a code")


def status_of(given: Resource, report_status: str) -> str:
    """The status of an observation in a report of a status; a test not done stays so."""
    if given.get("status") in _KEPT_STATUSES:
        return str(given["status"])
    return _STATUSES[report_status]


def same(observation: Resource, earlier: Iterable[Resource]) -> Resource | None:
    """The earlier observation of the same, if there is one."""
    names = set(codings(observation))
    text = observation.get("code", {}).get("text")
    for each in earlier:
        if names & set(codings(each)) or (not names and each.get("code", {}).get("text") == text):
            return each
    return None


def check_change(given: Given, step: Step) -> None:
    """Raises `Invalid`, 422, for an amendment that changes nothing or is of no known kind."""
    if given.status not in AMENDED:
        raise _invalid([f"status={given.status!r}: expected {', '.join(AMENDED)}"])
    if given.empty:
        raise _invalid([f"{step.name} needs what is changed, such as impression or observation"])


def result_of(report: Mapping[str, Any]) -> str:
    """Whether a report says that results are normal, abnormal or critical; empty if it does not."""
    for concept in report.get("conclusionCode", ()):
        for coding in concept.get("coding", ()):
            if coding.get("system") == RESULT_STATUS:
                return str(coding.get("code", ""))
    return ""


def _invalid(problems: Iterable[str]) -> Invalid:
    details = (WORKFLOW_ERROR, "VALIDATION_ERROR")
    return Invalid([Issue("value", each, details=details) for each in problems], status=422)
