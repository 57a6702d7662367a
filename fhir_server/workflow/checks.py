"""What an order names: patient, encounter, requester and diagnosis, and that they go together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import Issue
from fhir_server.workflow.actors import is_active
from fhir_server.workflow.canonicals import WORKFLOW_ERROR
from fhir_server.workflow.orders import Identity, Resource, own

REQUESTERS = ("Practitioner", "PractitionerRole")
_OVER = frozenset({"finished", "cancelled", "entered-in-error"})
# The elements of an order that name others, with the types these may be of.
NAMED: Mapping[str, tuple[str, ...]] = {
    "subject": ("Patient",),
    "encounter": ("Encounter",),
    "requester": REQUESTERS,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around orders.

    found: existing resources by identity. bases: the URLs under which this server is known.
    """

    found: Mapping[Identity, Resource]
    bases: Collection[str]

    def own(self, reference: Mapping[str, Any]) -> Identity | None:
        """What an element of the type Reference leads to on this server."""
        return own(reference.get("reference", ""), self.bases)

    def at(self, reference: Mapping[str, Any]) -> Resource | None:
        """The resource there; None if it is not here or does not exist."""
        identity = self.own(reference)
        return self.found.get(identity) if identity else None


def named(order: Mapping[str, Any], bases: Collection[str]) -> set[Identity]:
    """What `problems` and `with_indication` have to know of, as far as it is on this server."""
    references = [order.get(name, {}) for name in NAMED] + order.get("reasonReference", [])
    identities = (own(each.get("reference", ""), bases) for each in references)
    return {each for each in identities if each is not None}


def problems(
    order: Mapping[str, Any], around: Surroundings, elements: Collection[str] = tuple(NAMED)
) -> list[Issue]:
    """What is wrong with what an order names, all of it.

    elements: those that are new; the others were looked at when they were.
    """
    found = {name: list(_existing(order, name, around)) for name in elements}
    if "subject" in found and not found["subject"]:
        found["subject"] += _patient(around.at(order["subject"]) or {})
    if "encounter" in found and not found["encounter"]:
        found["encounter"] += _encounter(around.at(order["encounter"]) or {}, order, around)
    if "requester" in found and not found["requester"]:
        found["requester"] += _requester(around.at(order["requester"]) or {}, around)
    reasons = order.get("reasonReference", ())
    return [each for issues in found.values() for each in issues] + [
        issue for at, each in enumerate(reasons) for issue in _reason(at, each, order, around)
    ]


def _existing(order: Mapping[str, Any], name: str, around: Surroundings) -> Iterator[Issue]:
    place = f"ServiceRequest.{name}"
    reference = order.get(name, {})
    text = reference.get("reference", "")
    expected = " or ".join(NAMED[name])
    if not text:
        yield issue(f"An order names its {name}: expected a reference to a {expected}", place)
    elif "://" in text and around.own(reference) is None:
        told = f"{text} is not in this territory; expected a {expected} that is"
        yield issue(told, place, code="TERRITORY_MISMATCH")
    elif (around.own(reference) or ("",))[0] not in NAMED[name]:
        yield issue(f"Expected a reference to a {expected}, found {text!r}", place)
    elif around.at(reference) is None:
        code = "PATIENT_PROVIDER_MISMATCH" if name == "requester" else "VALIDATION_ERROR"
        yield issue(f"There is no {text}", place, code=code, type_="not-found")


def _patient(patient: Resource) -> Iterator[Issue]:
    place, name = "ServiceRequest.subject", f"Patient/{patient['id']}"
    merged = [each for each in patient.get("link", ()) if each.get("type") == "replaced-by"]
    if merged:
        into = merged[0].get("other", {}).get("reference", "another patient")
        yield issue(f"{name} was merged into {into}; order for that one", place)
    elif not is_active(patient):
        yield issue(f"{name} is not active", place)


def _encounter(
    encounter: Resource, order: Mapping[str, Any], around: Surroundings
) -> Iterator[Issue]:
    place, name = "ServiceRequest.encounter", f"Encounter/{encounter['id']}"
    whose = around.own(encounter.get("subject", {}))
    if whose is None or whose != around.own(order.get("subject", {})):
        patient = order.get("subject", {}).get("reference")
        yield issue(f"{name} is not of {patient}", place)
    if encounter.get("status") in _OVER:
        yield issue(f"{name} is {encounter['status']}; expected one that is not over", place)


def _requester(requester: Resource, around: Surroundings) -> Iterator[Issue]:
    place = "ServiceRequest.requester"
    code = "PATIENT_PROVIDER_MISMATCH"
    name = f"{requester['resourceType']}/{requester['id']}"
    if not is_active(requester):
        yield issue(f"{name} is not active", place, code=code)
    elif requester["resourceType"] == "PractitionerRole":
        who = requester.get("practitioner", {})
        practitioner = around.at(who)
        if practitioner is None:
            yield issue(f"{name} is of no practitioner here", place, code=code)
        elif not is_active(practitioner):
            yield issue(f"{name} is of {who['reference']}, who is not active", place, code=code)


def _reason(
    at: int, reference: Mapping[str, Any], order: Mapping[str, Any], around: Surroundings
) -> Iterator[Issue]:
    place = f"ServiceRequest.reasonReference[{at}]"
    identity = around.own(reference)
    if identity is None or identity[0] != "Condition":
        return
    condition = around.at(reference)
    if condition is None:
        yield issue(f"There is no {reference['reference']}", place, type_="not-found")
    elif around.own(condition.get("subject", {})) != around.own(order.get("subject", {})):
        patient = order.get("subject", {}).get("reference")
        yield issue(f"{reference['reference']} is not of {patient}", place)


def involves(
    order: Mapping[str, Any], around: Surroundings, care_teams: Sequence[Resource]
) -> bool:
    """Whether the requester takes part in the encounter, or is in a care team of the patient."""
    wanted = _same_person(order, around)
    encounter = around.at(order.get("encounter", {})) or {}
    individuals = [each.get("individual", {}) for each in encounter.get("participant", ())]
    members = [
        each.get("member", {})
        for team in care_teams
        if team.get("status", "active") == "active"
        for each in team.get("participant", ())
    ]
    return any(around.own(each) in wanted for each in (*individuals, *members))


def _same_person(order: Mapping[str, Any], around: Surroundings) -> set[Identity | None]:
    requester = order.get("requester", {})
    practitioner = (around.at(requester) or {}).get("practitioner", {})
    return {around.own(requester), around.own(practitioner)} - {None}


def not_involved(order: Mapping[str, Any]) -> Issue:
    """The issue when a requester has nothing to do with the patient."""
    who = order.get("requester", {}).get("reference")
    text = f"{who} is neither a participant of the encounter nor in a care team of the patient"
    return issue(text, "ServiceRequest.requester", code="PATIENT_PROVIDER_MISMATCH")


def issue(
    text: str, place: str, *, code: str = "VALIDATION_ERROR", type_: str = "business-rule"
) -> Issue:
    """An issue with one of the codes that clients act on."""
    return Issue(type_, text, place, details=(WORKFLOW_ERROR, code))
