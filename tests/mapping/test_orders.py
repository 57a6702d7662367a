"""The life of orders in HL7 v2 messages (ORD-11, V2-1; HL7 v2 4.5.1, tables 0119 and 0038)."""

import pytest

from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.orders import OrderStep
from fhir_server.workflow.canonicals import ORDER_NUMBER, ORDER_TYPE
from fhir_server.workflow.states import workflow
from tests.mapping.messages import PID, PV1, Store, mapped, mapper, resource, resources

OBR = "OBR|1|P1^HIS||71020^Chest^L"


def order(control: str, *, status: str = "", reason: str = "", obr: str = OBR) -> Mapped:
    """An order message with one order, P1."""
    orc = f"ORC|{control}|P1^HIS|||{status}|||||||||||{reason}"
    return mapped("ORM^O01^ORM_O01", PID, PV1, orc, obr)


def step(found: Mapped) -> OrderStep:
    (only,) = found.steps
    return only


def test_new_order_is_a_request_of_the_patient_in_the_encounter() -> None:
    found = mapped(
        "ORM^O01^ORM_O01",
        PID,
        PV1,
        "ORC|NW|P1^HIS||G1^HIS|||1^^^20260106083000^^S||20260105115900|||33^ORD^DR^^^^^^&1.2.9&ISO",
        "OBR|1|P1^HIS||71020^Chest^L|R||||||||Cough for three weeks|||||||||||RAD",
        "NTE|1||Bring old images",
    )
    urls = {each.type: each.full_url for each in found.entries}
    assert resource(found, "ServiceRequest") == {
        "resourceType": "ServiceRequest",
        "identifier": [
            {
                "system": "urn:x-hl7v2:CITY:HIS",
                "value": "P1",
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
                            "code": "PLAC",
                        }
                    ]
                },
            }
        ],
        "requisition": {
            "system": "urn:x-hl7v2:CITY:HIS",
            "value": "G1",
            "type": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PGN"}
                ]
            },
        },
        "status": "active",
        "intent": "order",
        "category": [
            {"coding": [{"system": ORDER_TYPE, "code": "imaging"}]},
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}
                ]
            },
        ],
        "priority": "stat",
        "code": {
            "coding": [{"system": "urn:x-hl7v2:coding:local", "code": "71020", "display": "Chest"}],
            "text": "Chest",
        },
        "subject": {"reference": urls["Patient"]},
        "encounter": {"reference": urls["Encounter"]},
        "occurrenceDateTime": "2026-01-06T08:30:00+01:00",
        "authoredOn": "2026-01-05T11:59:00+01:00",
        "requester": {"reference": urls["Practitioner"]},
        "reasonCode": [{"text": "Cough for three weeks"}],
        "note": [{"text": "Bring old images"}],
    }
    assert step(found) == OrderStep(
        order=("urn:x-hl7v2:CITY:HIS|P1", f"{ORDER_NUMBER}|P1"),
        url=urls["ServiceRequest"],
        control="NW",
        status="",
        action="create",
        unknown="create",
        where="ORC",
    )


@pytest.mark.parametrize(
    ("control", "status", "action", "name", "request_", "reply"),
    [
        ("NW", "", "create", "", "active", "OK"),
        ("XO", "", "update", "", "active", "XR"),
        ("CA", "", "none", "cancel", "revoked", "CR"),
        ("DC", "", "none", "cancel", "revoked", "DR"),
        ("OC", "", "none", "cancel", "revoked", "OK"),
        ("CR", "", "none", "cancel", "revoked", "OK"),
        ("HD", "", "none", "hold", "on-hold", "HR"),
        ("RL", "", "none", "resume", "active", "OE"),
        ("SC", "IP", "none", "start", "active", "OK"),
        ("SC", "CM", "none", "complete", "active", "OK"),
        ("SC", "SC", "none", "schedule", "active", "OK"),
        ("SC", "HD", "none", "hold", "on-hold", "OK"),
        ("SC", "CA", "none", "cancel", "revoked", "OK"),
        ("SR", "DC", "none", "cancel", "revoked", "OK"),
        ("SN", "", "create", "", "active", "NA"),
        ("NA", "", "number", "", "active", "OK"),
        ("OK", "", "number", "", "active", "OK"),
        ("RP", "", "replaced", "cancel", "revoked", "OK"),
        ("CH", "", "child", "", "active", "OK"),
        ("SS", "", "query", "", "unknown", "SR"),
    ],
)
def test_order_control_and_status_say_what_becomes_of_an_order(
    control: str, status: str, action: str, name: str, request_: str, reply: str
) -> None:
    found = order(control, status=status)
    told = step(found)
    assert (told.action, told.step, told.reply) == (action, name, reply)
    assert resource(found, "ServiceRequest")["status"] == request_


def test_steps_are_those_of_the_workflow() -> None:
    named = {row["step"] for row in mapper().book().orders if row.get("step")}
    assert named <= workflow().steps


def test_cancelling_tells_why_in_as_many_characters_as_the_step_asks_for() -> None:
    told = step(order("CA", reason="W^Wrong patient^L"))
    assert told.inputs == {"reason": "ORC-1 CA by HL7 v2: Wrong patient"}
    assert len(step(order("CA")).inputs["reason"]) >= 10


def test_order_that_was_scheduled_elsewhere_has_its_time() -> None:
    found = mapped(
        "ORM^O01^ORM_O01", PID, "ORC|SC|P1^HIS|F1^RIS||SC", "TQ1|1||||||20260107100000", OBR
    )
    assert step(found).inputs == {"time": "2026-01-07T10:00:00+01:00"}


@pytest.mark.parametrize("control", ["CD:2539", "ZZ"])
def test_unknown_order_control_is_an_issue_and_no_step(control: str) -> None:
    found = order(control)
    assert (step(found).action, step(found).step) == ("none", "")
    assert [(each.code, each.where) for each in found.issues] == [("103", "ORC")]
    assert resource(found, "ServiceRequest")["status"] == "unknown"


def test_status_that_table_0038_lacks_is_an_issue() -> None:
    found = order("SC", status="Ordered")
    assert step(found).step == ""
    assert "Ordered" in found.issues[0].text


def test_refusal_by_somebody_not_known_as_filler_cancels_nothing() -> None:
    found = order("UA")
    assert step(found).step == ""
    assert "not known as a filler" in found.issues[0].text


def test_new_order_replaces_the_old_one_of_the_same_message() -> None:
    found = mapped(
        "ORM^O01^ORM_O01",
        PID,
        "ORC|RP|P1^HIS",
        "OBR|1|P1^HIS||71020^Chest^L",
        "ORC|RO|P2^HIS",
        "OBR|1|P2^HIS||71021^Chest 2 views^L",
    )
    old, new = resources(found, "ServiceRequest")
    assert (old["status"], new["status"]) == ("revoked", "active")
    assert [each.action for each in found.steps] == ["replaced", "replacing"]
    store = Store()
    store.take(order("NW"))
    first = store.only("ServiceRequest")["id"]
    plan = store.take(found)
    assert plan.order_ids == [first, None]
    replacing = store.by("ServiceRequest", "P2")
    assert replacing["replaces"][0]["reference"] == f"ServiceRequest/{first}"


def test_child_is_based_on_its_parent() -> None:
    store = Store()
    store.take(order("NW"))
    parent = store.only("ServiceRequest")["id"]
    child = mapped("ORM^O01^ORM_O01", PID, "ORC|CH|P2^HIS||||||P1&HIS", "OBR|1|P2^HIS||X^Child^L")
    store.take(child)
    based = store.by("ServiceRequest", "P2")["basedOn"]
    assert based == [{"reference": f"ServiceRequest/{parent}"}]


def test_parent_that_is_not_known_stays_named_by_its_number() -> None:
    found = mapped("ORM^O01^ORM_O01", PID, "ORC|CH|P2^HIS||||||P9&HIS", "OBR|1|P2^HIS||X^Child^L")
    Store().take(found)
    (parent,) = resource(found, "ServiceRequest")["basedOn"]
    assert parent == {
        "type": "ServiceRequest",
        "identifier": {"system": "urn:x-hl7v2:CITY:HIS", "value": "P9"},
    }


def test_number_assigned_by_the_filler_is_added_to_the_order() -> None:
    store = Store()
    store.take(order("NW"))
    orc = "ORC|OK|P1^HIS|F77^RIS"
    plan = store.take(mapped("ORM^O01^ORM_O01", PID, orc, "OBR|1|P1^HIS|F77^RIS|71020^Chest^L"))
    known = store.only("ServiceRequest")
    assert plan.order_ids == [known["id"]]
    assert [each["value"] for each in known["identifier"]] == ["P1", "F77"]
    assert known["status"] == "active"


def test_order_that_is_changed_keeps_what_the_message_does_not_say() -> None:
    store = Store()
    store.take(order("NW", obr="OBR|1|P1^HIS||71020^Chest^L|R||||||||||||||||||||||||||^Cough"))
    store.take(order("XO", obr="OBR|1|P1^HIS||71020^Chest^L|S"))
    changed = store.only("ServiceRequest")
    assert changed["priority"] == "stat"
    assert changed["reasonCode"] == [{"text": "Cough"}]


def test_plain_change_moves_no_status() -> None:
    store = Store()
    store.take(order("NW"))
    store.take(order("CA"))
    assert store.only("ServiceRequest")["status"] == "active"


def test_orders_of_one_message_have_their_own_segments() -> None:
    found = mapped(
        "OML^O21^OML_O21",
        PID,
        "ORC|NW|P1^HIS",
        "OBR|1|P1^HIS||CBC^Blood count^L",
        "NTE|1||first",
        "SPM|1|S1||BLD",
        "ORC|NW|P2^HIS",
        "OBR|2|P2^HIS||LIPID^Lipids^L",
        "NTE|1||second",
        "SPM|1|S2||SER",
    )
    first, second = resources(found, "ServiceRequest")
    specimens = [each.full_url for each in found.entries if each.type == "Specimen"]
    assert [each["note"] for each in (first, second)] == [[{"text": "first"}], [{"text": "second"}]]
    assert [each["specimen"] for each in (first, second)] == [
        [{"reference": specimens[0]}],
        [{"reference": specimens[1]}],
    ]
    types = [each["category"][0]["coding"][0]["code"] for each in (first, second)]
    assert types == ["laboratory", "laboratory"]


def test_order_without_a_control_segment_is_a_new_one() -> None:
    found = mapped("ORM^O01^ORM_O01", PID, OBR)
    assert (step(found).action, step(found).control) == ("create", "")
    assert resource(found, "ServiceRequest")["status"] == "active"


def test_number_of_the_control_segment_counts_with_its_own_namespace() -> None:
    found = mapped("ORM^O01^ORM_O01", PID, "ORC|NW|P1^HIS", "OBR|1|Q7^OTHER||X^X^L")
    assert [each["value"] for each in resource(found, "ServiceRequest")["identifier"]] == ["P1"]


def test_imaging_order_has_the_accession_number_of_its_message() -> None:
    found = mapped("OMI^O23^OMI_O23", PID, "ORC|NW|P1^HIS", OBR, "IPC|ACC1^RIS|1^X|1.2.840.1|^|CT")
    numbers = resource(found, "ServiceRequest")["identifier"]
    assert [(e["type"]["coding"][0]["code"], e["value"]) for e in numbers] == [
        ("PLAC", "P1"),
        ("ACSN", "ACC1"),
    ]


def test_orders_of_one_group_or_visit_are_told_apart() -> None:
    found = mapped(
        "OMI^O23^OMI_O23",
        PID,
        "ORC|NW|P1^HIS||G1^HIS",
        "OBR|1|P1^HIS||A^A^L",
        "IPC|ACC1^RIS",
        "ORC|NW|P2^HIS||G1^HIS",
        "OBR|2|P2^HIS||B^B^L",
        "IPC|ACC1^RIS",
    )
    assert len(resources(found, "ServiceRequest")) == 2
    tokens = [token for step_ in found.steps for token in step_.order]
    assert not any("ACC1" in each for each in tokens)
