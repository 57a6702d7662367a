"""Which orders the images of a study are for: rules that say yes, or why not. Nothing is guessed.

Pure. By the study UID that an order was given in advance; by accession number and who gave it; by
the accession numbers of the request that an instance names. The patient has to agree each time.
Never by name, and never by a date.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.dicom.facts import Accession, Person, StudyFacts
from fhir_server.fhir_json import encode_sorted
from fhir_server.storage.archive import CONFLICT, LINKED, UNMATCHED
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.study_uids import SYSTEM as UID_SYSTEM
from fhir_server.workflow.study_uids import as_value

Resource = dict[str, Any]

# The rules, as codes.
BY_UID, BY_ACCESSION, BY_REQUEST, BY_PERSON = (
    "study-uid", "accession", "request-attributes", "person",
)  # fmt: skip
# Why a person has to decide, as codes.
PATIENT, AMBIGUOUS, DISAGREEMENT, ISSUER, NO_IMAGING, SHARED_UID, CLOSED = (
    "patient-mismatch", "ambiguous", "disagreement", "issuer-mismatch", "no-imaging-order",
    "shared-study-uid", "order-closed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a number: `Type/id`."""

    system: str
    value: str
    reference: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here that images may be for.

    holders: of the numbers that the images name. orders, patients: by reference.
    """

    holders: Sequence[Holder]
    orders: Mapping[str, Resource]
    patients: Mapping[str, Resource]


@dataclass(frozen=True, slots=True)
class Issuers:
    """What names of issuers in images mean.

    accession: the system of accession numbers by their issuer, or for none; empty if unknown.
    patient: the system of patient ids by their issuer; empty if unknown.
    """

    accession: Callable[[str], str]
    patient: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Match:
    """A decision.

    state: linked, unmatched or conflict. rule: by which; empty if none did. orders: references,
    of a conflict those between which a person has to decide. reason: why it is a conflict.
    evidence: what led to it, without names. warnings: what a person should know.
    """

    state: str
    rule: str = ""
    orders: tuple[str, ...] = ()
    reason: str = ""
    evidence: str = ""
    warnings: tuple[str, ...] = field(default=())


def numbers(study: StudyFacts) -> list[str]:
    """The values by which holders are looked for."""
    named = {each.value for each in (*study.accessions, *study.requested)}
    return [as_value(study.uid), *sorted(named)]


def match(study: StudyFacts, known: Known, issuers: Issuers) -> Match:
    """Decide which orders a study is for."""
    promised = _orders(known, UID_SYSTEM, as_value(study.uid))
    named: dict[str, str] = {}
    for rule, accessions in ((BY_ACCESSION, study.accessions), (BY_REQUEST, study.requested)):
        for accession in accessions:
            found = _named(accession, known, issuers)
            if isinstance(found, Match):
                return found
            named |= {reference: rule for reference in found if reference not in named}
    if promised and named and not set(promised) & set(named):
        evidence = f"the study UID is that of {promised[0]}, its numbers are others'"
        return _conflict(DISAGREEMENT, [*promised, *named], evidence)
    orders = sorted({*promised, *named})
    if not orders:
        return Match(UNMATCHED, evidence=_missing(study))
    rule = BY_UID if promised else named[orders[0]]
    return _checked(study, known, issuers, orders, rule)


def _orders(known: Known, system: str, value: str) -> list[str]:
    """The orders that exist and hold a number."""
    return [
        each.reference
        for each in known.holders
        if (each.system, each.value) == (system, value) and each.reference in known.orders
    ]


def _named(accession: Accession, known: Known, issuers: Issuers) -> list[str] | Match:
    """The orders with an accession number, or why that cannot be said."""
    found = [
        each
        for each in known.holders
        if each.value == accession.value
        and each.system != UID_SYSTEM
        and each.reference in known.orders
        and _is_accession(each, known.orders[each.reference])
    ]
    expected = issuers.accession(accession.issuer)
    ours = [each.reference for each in found if expected and each.system == expected]
    if ours or not found:
        return ours
    references = sorted({each.reference for each in found})
    given = repr(accession.issuer) if accession.issuer else "nobody"
    evidence = f"the accession number is given by {given}, that of the order by another issuer"
    return _conflict(ISSUER, references, evidence)


def _is_accession(holder: Holder, order: Resource) -> bool:
    """Whether a number of an order is its accession number, and no other number of it."""
    for each in order.get("identifier", ()):
        if (each.get("system"), each.get("value")) == (holder.system, holder.value):
            codings = each.get("type", {}).get("coding", ())
            return any(coding.get("code") == "ACSN" for coding in codings)
    return False


def _checked(
    study: StudyFacts, known: Known, issuers: Issuers, references: Sequence[str], rule: str
) -> Match:
    """Orders that are named, if they are what they have to be."""
    orders = [known.orders[each] for each in references]
    if any(order_type(order) != "imaging" for order in orders):
        return _conflict(NO_IMAGING, references, "what the numbers name is no imaging order")
    subjects = {order["subject"].get("reference", "") for order in orders}
    if len(subjects) > 1:
        return _conflict(AMBIGUOUS, references, "the orders are for different patients")
    disagreement = _disagreement(study.person, known.patients.get(subjects.pop()), issuers)
    if disagreement:
        return _conflict(PATIENT, references, disagreement)
    if len(references) > 1 and not _belong_together(study, orders):
        return _conflict(AMBIGUOUS, references, "several orders, and nothing says for all of them")
    patient = known.patients[orders[0]["subject"]["reference"]]
    warnings = tuple(_warnings(study, patient))
    return Match(LINKED, rule, tuple(references), evidence=_EVIDENCE[rule], warnings=warnings)


_EVIDENCE = {
    BY_UID: "the study UID is the one given to the order in advance; the patient id agrees",
    BY_ACCESSION: "accession number and its issuer are the order's; the patient id agrees",
    BY_REQUEST: "the request in the images names the order; the patient id agrees",
}


def _belong_together(study: StudyFacts, orders: Sequence[Resource]) -> bool:
    """Whether images may be for all of some orders of one patient.

    The images name each by a number of its own, or the orders were placed as one requisition.
    """
    requisitions = {encode_sorted(order.get("requisition")) for order in orders}
    if len(requisitions) == 1 and orders[0].get("requisition"):
        return True
    named = {each.value for each in (*study.accessions, *study.requested)}
    return len(named) >= len(orders)


def agrees(person: Person, patient: Resource, issuers: Issuers) -> bool:
    """Whether the patient's id in images is one of a Patient's."""
    return _disagreement(person, patient, issuers) == ""


def _disagreement(person: Person, patient: Resource | None, issuers: Issuers) -> str:
    """Why images are not, or may not be, of the patient of an order; empty if they are."""
    if patient is None:
        return "the patient of the order is not here"
    if not person.id:
        return "the images name no patient id"
    if not person.issuer and person.id == patient["id"]:
        return ""
    values = [each for each in patient.get("identifier", ()) if each.get("value") == person.id]
    if not values:
        return "the patient id in the images is none of the patient of the order"
    if not person.issuer:
        return ""
    system = issuers.patient(person.issuer)
    if any(_issued(each, person.issuer, system) for each in values):
        return ""
    return "the patient id in the images is given by another issuer"


def _issued(identifier: Resource, issuer: str, system: str) -> bool:
    if identifier.get("system") in (system or issuer, issuer):
        return True
    return bool(identifier.get("assigner", {}).get("display") == issuer)


def _warnings(study: StudyFacts, patient: Resource) -> Iterable[str]:
    birth_date = str(patient.get("birthDate", "")).replace("-", "")
    given = study.person.birth_date
    if given and birth_date and not given.startswith(birth_date):
        yield "the birth date in the images differs from the patient's"
    sex = {"male": "M", "female": "F", "other": "O"}.get(patient.get("gender", ""))
    if sex and study.person.sex and study.person.sex != sex:
        yield "the sex in the images differs from the patient's"
    if len({each.value for each in study.accessions}) > 1:
        yield "the instances have different accession numbers"


def _missing(study: StudyFacts) -> str:
    if study.accessions or study.requested:
        return "no order has the accession number of the images"
    return "the images have no accession number"


def _conflict(reason: str, references: Iterable[str], evidence: str) -> Match:
    return Match(CONFLICT, orders=tuple(sorted(set(references))), reason=reason, evidence=evidence)
