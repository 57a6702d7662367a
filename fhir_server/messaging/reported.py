"""Results in messages, as the report of an order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations.order_report import shown
from fhir_server.operations.order_results import given, store_results
from fhir_server.operations.order_steps import Work, take_step
from fhir_server.operations.parameters import Parameters
from fhir_server.workflow.result_rules import AMENDED, FINAL, check_change, name_of

Resource = dict[str, Any]

_REPORTED = "reported"
# What the message says of the report beside what the rules of reports make of it.
_BESIDE = (
    "identifier", "code", "category", "effectiveDateTime", "effectivePeriod", "performer",
    "specimen", "media",
)  # fmt: skip
# What `$report` needs at least (ORD-6); who sends numbers only says less.
_NO_IMPRESSION = "No impression was given with the results."
_LEAST_FINDINGS, _LEAST_TEXT = 10, 20


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as a message brings it, with its observations."""

    report: Resource
    observations: Sequence[Resource]
    status: str

    def behind(self, state: str) -> str:
        """Why the order has moved past such a report; empty if it has not."""
        if state == _REPORTED and self.status not in (FINAL, *AMENDED):
            return f"the final report is here already; the {self.status} one changes nothing"
        return ""

    def step(self, state: str) -> tuple[str, str]:
        """The step that takes it, and the status that the report gets."""
        if state == _REPORTED:
            return "amend", self.status if self.status in AMENDED else "corrected"
        if self.status in (FINAL, *AMENDED):
            return "report", FINAL
        return "preliminary-report", self.status

    @property
    def lines(self) -> str:
        """The observations as text, one a line."""
        return "\n".join(f"{name_of(each)}: {_shown(each)}" for each in self.observations)


async def report_by(
    engine: Engine,
    ctx: Context,
    parameters: Parameters,
    reported: Reported,
    state: str,
    control_id: str,
) -> Result:
    """Make or change the report of an order. Raises `Refusal`."""
    step, status = reported.step(state)
    _complete(parameters, reported, step, control_id)
    parameters.values["status"] = [status]
    results = given(parameters, status)

    async def making(work: Work) -> None:
        if step == "amend":
            named = work.table.step(step)
            assert named is not None
            check_change(results, named)
        beside = {name: reported.report[name] for name in _BESIDE if name in reported.report}
        await store_results(work, results, beside)

    return await take_step(engine, ctx, parameters, step, making=making, repeated=shown)


def _complete(parameters: Parameters, reported: Reported, step: str, control_id: str) -> None:
    """Say in words what the observations say, where the message has no words of its own."""
    values = parameters.values
    values["observation"] = list(reported.observations)
    for name, source in (("interpreter", "resultsInterpreter"), ("presentedForm", "presentedForm")):
        if reported.report.get(source):
            values[name] = list(reported.report[source])
    findings = parameters.text("findings").strip() or reported.lines
    if len(findings) < _LEAST_FINDINGS:
        findings = f"Findings: {findings or 'none given'}"
    impression = parameters.text("impression").strip()
    if not impression:
        impression = _NO_IMPRESSION
    elif len(impression) < _LEAST_FINDINGS:
        impression = f"Impression: {impression}"
    values["findings"], values["impression"] = [findings], [impression]
    text = parameters.text("text") or f"{findings}\n\n{impression}"
    values["text"] = [text if len(text) >= _LEAST_TEXT else f"Report: {text}"]
    if step == "amend":
        values["reason"] = [f"Changed by the HL7 v2 message {control_id}"]


def _shown(observation: Mapping[str, Any]) -> str:
    for name, value in observation.items():
        if not name.startswith("value"):
            continue
        if not isinstance(value, dict):
            return str(value)
        if "value" in value:
            return " ".join(str(value[e]) for e in ("comparator", "value", "unit") if e in value)
        coding: Resource = next(iter(value.get("coding", ())), {})
        return str(value.get("text") or coding.get("display") or coding.get("code") or "")
    parts = [_shown(each) for each in observation.get("component", ())]
    return "; ".join(filter(None, parts)) or "no value"
