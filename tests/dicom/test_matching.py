"""The rules of matching on literals, where a real archive would be slow to come by each case."""

from typing import Any

import pytest

from fhir_server.dicom.facts import Accession, Person, StudyFacts
from fhir_server.dicom.matching import Holder, Issuers, Known, Match, match
from fhir_server.workflow.canonicals import ORDER_TYPE
from fhir_server.workflow.study_uids import as_value

Resource = dict[str, Any]
OURS, THEIRS = "urn:ours", "urn:theirs"
ISSUERS = Issuers(lambda issuer: {"": OURS, "T": THEIRS}.get(issuer, issuer), lambda _: "")
PATIENT: Resource = {"id": "p", "identifier": [{"system": "urn:mrn", "value": "1"}]}


def order(id_: str, number: str, system: str = OURS, **more: Any) -> Resource:
    found: Resource = {
        "resourceType": "ServiceRequest",
        "id": id_,
        "intent": "order",
        "category": [{"coding": [{"system": ORDER_TYPE, "code": "imaging"}]}],
        "subject": {"reference": "Patient/p"},
        "identifier": [
            {"type": {"coding": [{"code": "ACSN"}]}, "system": system, "value": number},
            {"system": "urn:dicom:uid", "value": as_value(f"9.{id_}")},
        ],
    }
    return found | more


def decided(
    orders: list[Resource],
    *,
    uid: str = "1.2",
    numbers: tuple[Accession, ...] = (),
    requested: tuple[Accession, ...] = (),
    person: Person | None = None,
) -> Match:
    known = {f"ServiceRequest/{each['id']}": each for each in orders}
    holders = [
        Holder(each["system"], each["value"], reference)
        for reference, found in known.items()
        for each in found["identifier"]
    ]
    facts = StudyFacts(uid, person or Person("1"), (), numbers, requested)
    return match(facts, Known(holders, known, {"Patient/p": PATIENT}), ISSUERS)


def test_number_and_issuer_are_a_link() -> None:
    found = decided([order("1", "A")], numbers=(Accession("A"),))
    assert (found.state, found.rule, found.orders) == (
        "linked", "accession", ("ServiceRequest/1",),
    )  # fmt: skip


def test_the_number_of_a_deleted_order_is_nobodys() -> None:
    """Its number stays held, and the order is not there."""
    gone = StudyFacts("1.2", Person("1"), (), (Accession("A"),), ())
    found = match(gone, Known([Holder(OURS, "A", "ServiceRequest/1")], {}, {}), ISSUERS)
    assert found.state == "unmatched"


@pytest.mark.parametrize(
    ("issuer", "state"), [("T", "linked"), ("", "conflict"), ("X", "conflict")]
)
def test_another_issuers_number_is_no_match(issuer: str, state: str) -> None:
    found = decided([order("1", "A", THEIRS)], numbers=(Accession("A", issuer),))
    assert (found.state, found.reason) == (state, "" if state == "linked" else "issuer-mismatch")


def test_one_number_of_two_issuers_is_the_order_of_the_one_that_is_named() -> None:
    orders = [order("1", "A"), order("2", "A", THEIRS)]
    assert decided(orders, numbers=(Accession("A"),)).orders == ("ServiceRequest/1",)
    assert decided(orders, numbers=(Accession("A", "T"),)).orders == ("ServiceRequest/2",)


def test_an_order_number_is_no_accession_number() -> None:
    one = order("1", "A")
    one["identifier"][0]["type"]["coding"][0]["code"] = "PLAC"
    assert decided([one], numbers=(Accession("A"),)).state == "unmatched"


def test_the_study_uid_goes_first_and_its_number_may_be_unknown() -> None:
    found = decided([order("1", "A")], uid="9.1", numbers=(Accession("LOCAL"),))
    assert (found.state, found.rule) == ("linked", "study-uid")


def test_the_uid_of_one_and_the_number_of_another_is_a_conflict() -> None:
    orders = [order("1", "A"), order("2", "B")]
    found = decided(orders, uid="9.1", numbers=(Accession("B"),))
    assert (found.reason, len(found.orders)) == ("disagreement", 2)


def test_the_uid_of_one_of_several_that_are_named_links_all() -> None:
    orders = [order("1", "A"), order("2", "B")]
    found = decided(orders, uid="9.1", requested=(Accession("A"), Accession("B")))
    assert (found.state, len(found.orders)) == ("linked", 2)


@pytest.mark.parametrize(
    "person", [Person("2"), Person(""), Person("1", "ELSEWHERE"), Person("P"), Person("1 ")]
)
def test_a_patient_who_does_not_agree_is_a_conflict(person: Person) -> None:
    for uid, numbers in (("1.2", (Accession("A"),)), ("9.1", ())):
        found = decided([order("1", "A")], uid=uid, numbers=numbers, person=person)
        assert (found.state, found.reason) == ("conflict", "patient-mismatch")


def test_the_id_of_the_patient_itself_agrees() -> None:
    found = decided([order("1", "A")], numbers=(Accession("A"),), person=Person("p"))
    assert found.state == "linked"


def test_names_are_never_looked_at() -> None:
    person = Person("1", name="Somebody^Else")
    assert decided([order("1", "A")], numbers=(Accession("A"),), person=person).state == "linked"
    assert decided([order("1", "A")], person=person).state == "unmatched"


def test_several_orders_that_only_a_uid_and_a_requisition_join() -> None:
    """Hazard: duplicated in orders; grouped procedures are legal."""
    together: Any = {"requisition": {"value": "R"}}
    orders = [order("1", "A", **together), order("2", "A", THEIRS, **together)]
    orders[1]["identifier"][0]["system"] = OURS
    assert decided(orders, numbers=(Accession("A"),)).state == "linked"
    for each in orders:
        del each["requisition"]
    assert decided(orders, numbers=(Accession("A"),)).reason == "ambiguous"


def test_what_is_no_imaging_order_is_a_conflict() -> None:
    laboratory = order("1", "A")
    laboratory["category"][0]["coding"][0]["code"] = "laboratory"
    assert decided([laboratory], numbers=(Accession("A"),)).reason == "no-imaging-order"


def test_evidence_names_nobody() -> None:
    """Hazard: PHI in logs and messages."""
    person = Person("SECRET-ID", name="Secret^Name")
    found = decided([order("1", "A")], numbers=(Accession("A"),), person=person)
    assert "SECRET" not in str(found).upper()
