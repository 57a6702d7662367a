"""What $report and $amend store: the report of an order, its observations, and a flag."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fhir_server.fhir_json import decode
from fhir_server.operations.order_lookups import own, referred, referring
from fhir_server.operations.order_steps import Identity, Work
from fhir_server.operations.parameters import Parameters
from fhir_server.storage.resources import Stored
from fhir_server.workflow import reports
from fhir_server.workflow.interpretation import CRITICAL, codes
from fhir_server.workflow.refusals import invalid
from fhir_server.workflow.reports import About
from fhir_server.workflow.result_rules import (
    Given,
    check_given,
    name_of,
    result_of,
    same,
    status_of,
)

Resource = dict[str, Any]

# What the Task of an order tells of.
REPORT, FLAG = "report", "critical-flag"
_MOST_MERGES = 10


def given(parameters: Parameters, status: str) -> Given:
    """The results that an operation was called with."""
    return Given(
        status,
        parameters.text("findings").strip(),
        parameters.text("impression").strip(),
        parameters.text("text").strip(),
        parameters.text("result"),
        parameters.all("observation"),
        parameters.all("interpreter"),
        parameters.all("imagingStudy"),
        parameters.all("presentedForm"),
        parameters.text("time"),
    )


async def store_results(work: Work, results: Given, beside: Resource | None = None) -> None:
    """Store results of an order: a new report, or the next version of the one there is.

    beside: elements of the report that its source says itself, such as identifiers.
    Raises `Invalid`, 422, for results that break a rule.
    """
    about = replace(work.about, subject=await _subject(work))
    _check_subjects(work, results)
    old = await _stored(work, work.noted(REPORT))
    earlier = decode(old.content or b"") if old is not None else None
    observations = await _observations(work, about, results, earlier)
    results = replace(results, studies=results.studies or await _studies(work, earlier))
    check_given(
        replace(results, observations=[new for new, _ in observations if new is not None]),
        work.order.request,
        [resource for _, resource in observations],
    )
    references = [f"Observation/{resource['id']}" for _, resource in observations]
    id_ = old.id if old is not None else work.ctx.new_id()
    report = _with(reports.report(about, results, references, earlier, id_), beside or {})
    work.note(REPORT, work.store("report", report, old))
    for new, resource in observations:
        held = work.held.get(("Observation", resource["id"]))
        if new is not None or held is None or decode(held.content or b"") != resource:
            work.store("observation", resource, held)
    work.sources += [each["reference"] for each in results.studies if "reference" in each]
    if result_of(report) == "critical":
        await _flag(work, about, report, [resource for _, resource in observations])


def _with(report: Resource, beside: Resource) -> Resource:
    known = report.get("identifier", [])
    added = [each for each in beside.get("identifier", ()) if each not in known]
    report = report | beside
    if "effectivePeriod" in beside:
        report.pop("effectiveDateTime", None)
    return report | ({"identifier": [*known, *added]} if known or added else {})


async def _subject(work: Work) -> Resource:
    """The patient, or the one whose record took over theirs (R4 patient-definitions.html#link)."""
    subject: Resource = work.order.request["subject"]
    for _ in range(_MOST_MERGES):
        found = await referred(work.engine, work.ctx, work.connection, [subject["reference"]])
        patient: Resource = next(iter(found.values()), {})
        into = [each for each in patient.get("link", ()) if each.get("type") == "replaced-by"]
        if not into:
            return subject
        subject = into[0]["other"]
    return subject


def _check_subjects(work: Work, results: Given) -> None:
    patient = work.order.request["subject"].get("reference", "")
    for each in results.observations:
        whose = each.get("subject", {}).get("reference")
        if whose and own(work.engine, work.ctx, whose) != own(work.engine, work.ctx, patient):
            text = f"observation {name_of(each)} is of {whose}, {work.order.reference} of {patient}"
            raise invalid(text)


async def _stored(work: Work, identity: Identity | None) -> Stored | None:
    """The current version of something; None if it is deleted."""
    if identity is None:
        return None
    found = (await work.hold([identity])).get(identity)
    return found if found is not None and found.content is not None else None


async def _observations(
    work: Work, about: About, results: Given, earlier: Resource | None
) -> list[tuple[Resource | None, Resource]]:
    """The observations of a report as they become, each with what was given of it, if anything."""
    known = await _earlier(work, earlier)
    replaced: dict[str, tuple[Resource, Resource]] = {}
    added: list[tuple[Resource | None, Resource]] = []
    for each in results.observations:
        former = same(each, known)
        id_ = former["id"] if former is not None else work.ctx.new_id()
        if id_ in replaced:
            raise invalid(f"observation {name_of(each)} is given twice")
        found = (each, reports.observation(about, each, results, id_))
        if former is not None:
            replaced[id_] = found
        else:
            added.append(found)
    return [
        *(replaced.get(each["id"]) or (None, _carried(each, results)) for each in known),
        *added,
    ]


def _carried(observation: Resource, results: Given) -> Resource:
    """An earlier observation: final with its report, and else as it is."""
    if results.status != "final":
        return observation
    return observation | {"status": status_of(observation, results.status)}


async def _earlier(work: Work, report: Resource | None) -> list[Resource]:
    references = [each.get("reference", "") for each in (report or {}).get("result", ())]
    identities = [each for text in references if (each := own(work.engine, work.ctx, text))]
    found = await work.hold(identities)
    return [
        decode(found[each].content or b"")
        for each in identities
        if each in found and found[each].content is not None
    ]


async def _studies(work: Work, earlier: Resource | None) -> list[Resource]:
    """The studies that the report names already, and those that are based on the order."""
    by = [("ImagingStudy", "basedon")]
    found = await referring(work.engine, work.ctx, work.connection, [work.order.reference], by)
    known = list((earlier or {}).get("imagingStudy", ()))
    based = [{"reference": f"ImagingStudy/{each['id']}"} for each in found]
    return [*known, *(each for each in based if each not in known)]


async def _flag(
    work: Work, about: About, report: Resource, observations: Sequence[Resource]
) -> None:
    """Ask for the results to be acknowledged, unless that is asked for already."""
    old = await _stored(work, work.noted(FLAG))
    if old is not None and decode(old.content or b"").get("status") == "active":
        return
    critical = [name_of(each) for each in observations if CRITICAL & set(codes(each))]
    what = f"Critical result: {', '.join(critical) or report.get('conclusion', 'see the report')}"
    flag = reports.flag(about, report["id"], what, work.ctx.new_id())
    work.note(FLAG, work.store("flag", flag))
