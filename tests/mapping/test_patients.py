"""Patients and visits in HL7 v2 messages: identity, deletion, merges (HL7 v2 3.3, 3.6)."""

import pytest

from fhir_server.mapping.convert import Mapped
from tests.mapping.messages import PV1, Store, mapped, resource, resources


def update(pid: str, at: str = "20260105120000") -> Mapped:
    return mapped("ADT^A31^ADT_A05", "EVN|A31|20260105", pid, at=at)


def merge(source: str, into: str) -> Mapped:
    """An A40 that merges one medical record number of CITY into another."""
    return mapped(
        "ADT^A40^ADT_A39",
        "EVN|A40|20260105",
        f"PID|1||{into}^^^CITY&1.2.3&ISO^MR||DOE^JOHN",
        f"MRG|{source}^^^CITY&1.2.3&ISO^MR",
    )


def register(number: str, name: str = "DOE^JOHN") -> Mapped:
    return update(f"PID|1||{number}^^^CITY&1.2.3&ISO^MR||{name}")


@pytest.mark.parametrize(
    ("cx", "system"),
    [
        ("1^^^CITY&1.2.3&ISO", "urn:oid:1.2.3"),
        ("1^^^CITY&F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6&UUID",
         "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("1^^^&http://city.example/ids&URI", "http://city.example/ids"),
        ("1^^^CITY HOSPITAL", "urn:x-hl7v2:CITY:CITY%20HOSPITAL"),
        ("1^^^&not-an-oid&ISO", "urn:x-hl7v2:CITY:not-an-oid"),
        ("1^^^USSSA", "http://hl7.org/fhir/sid/us-ssn"),
        ("1", "urn:x-hl7v2:CITY"),
    ],
)  # fmt: skip
def test_authority_of_an_identifier_is_its_system(cx: str, system: str) -> None:
    (identifier,) = resource(update(f"PID|1||{cx}"), "Patient")["identifier"]
    assert identifier["system"] == system


def test_patient_is_looked_for_by_the_record_number_first() -> None:
    found = update("PID|1||9^^^A&1.1&ISO^PI~5^^^B&1.2&ISO^MR||DOE^JOHN")
    assert found.entries[0].tokens == ("urn:oid:1.2|5", "urn:oid:1.1|9")


def test_social_security_number_tells_patients_apart_only_if_there_is_nothing_else() -> None:
    found = update("PID|1||5^^^B&1.2&ISO^MR~9^^^USSSA^SS")
    assert found.entries[0].tokens == ("urn:oid:1.2|5",)
    assert update("PID|1||9^^^USSSA^SS").entries[0].tokens == ("http://hl7.org/fhir/sid/us-ssn|9",)


def test_empty_field_changes_nothing_and_null_deletes() -> None:
    store = Store()
    store.take(
        update("PID|1||5^^^B&1.2&ISO^MR||DOE^JOHN||19800101|M|||1 MAIN^^CITY||555^PRN~556|777||M")
    )
    store.take(update('PID|1||5^^^B&1.2&ISO^MR||DOE^JANE|||""|||""||""'))
    patient = store.only("Patient")
    assert patient["name"][0]["given"] == ["JANE"]
    assert patient["birthDate"] == "1980-01-01"
    assert patient["maritalStatus"]["coding"][0]["code"] == "M"
    assert not {"gender", "address"} & patient.keys()
    assert [(each["value"], each["use"]) for each in patient["telecom"]] == [("777", "work")]


def test_identifiers_gather_and_names_are_replaced() -> None:
    store = Store()
    store.take(register("5", "DOE^JOHN"))
    store.take(update("PID|1||5^^^CITY&1.2.3&ISO^MR~77^^^STATE&1.9&ISO^PI||ROE^JOHN"))
    patient = store.only("Patient")
    assert [each["value"] for each in patient["identifier"]] == ["5", "77"]
    assert [each["family"] for each in patient["name"]] == ["ROE"]


def test_results_and_orders_do_not_change_a_known_patient() -> None:
    store = Store()
    store.take(register("5", "DOE^JOHN"))
    pid = "PID|1||5^^^CITY&1.2.3&ISO^MR||WRONG^NAME"
    store.take(mapped("ORU^R01^ORU_R01", pid, "OBR|1||F1|X^X^L", "OBX|1|NM|K^K^L||1"))
    assert store.only("Patient")["name"][0]["family"] == "DOE"
    assert store.only("Observation")["subject"]["reference"] == (
        f"Patient/{store.only('Patient')['id']}"
    )


def test_merge_retires_one_record_for_the_other() -> None:
    store = Store()
    store.take(register("A"))
    store.take(register("B"))
    gone, stays = store.by("Patient", "A")["id"], store.by("Patient", "B")["id"]
    store.take(merge("A", "B"))
    old, survivor = store.held[f"Patient/{gone}"], store.held[f"Patient/{stays}"]
    assert old["active"] is False
    assert old["link"] == [{"other": {"reference": f"Patient/{stays}"}, "type": "replaced-by"}]
    assert survivor["active"] is True
    assert survivor["link"] == [{"other": {"reference": f"Patient/{gone}"}, "type": "replaces"}]
    assert [(each["value"], each.get("use")) for each in survivor["identifier"]] == [
        ("B", None),
        ("A", "old"),
    ]


def test_chain_of_merges_ends_at_the_last() -> None:
    store = Store()
    for number in ("A", "B", "C"):
        store.take(register(number))
    last = store.by("Patient", "C")["id"]
    store.take(merge("A", "B"))
    store.take(merge("B", "C"))
    survivor = store.held[f"Patient/{last}"]
    assert {each["value"] for each in survivor["identifier"]} == {"A", "B", "C"}
    for number in ("A", "B", "C"):
        store.take(
            mapped(
                "ORU^R01^ORU_R01",
                f"PID|1||{number}^^^CITY&1.2.3&ISO^MR",
                f"OBR|1||F{number}|X^X^L",
                "OBX|1|NM|K^K^L||1",
            )
        )
    subjects = {each["subject"]["reference"] for each in store.all("DiagnosticReport")}
    assert subjects == {f"Patient/{last}"}
    assert len(store.all("Patient")) == 3


def test_merge_of_records_that_are_not_known_leaves_the_trace_of_both() -> None:
    store = Store()
    store.take(merge("A", "B"))
    assert len(store.all("Patient")) == 2
    assert store.by("Patient", "A")["active"] is False


def test_several_merges_of_one_message() -> None:
    found = mapped(
        "ADT^A40^ADT_A39",
        "EVN|A40|20260105",
        "PID|1||B^^^CITY&1.2.3&ISO^MR||DOE^JOHN",
        "MRG|A^^^CITY&1.2.3&ISO^MR",
        "PID|2||Y^^^CITY&1.2.3&ISO^MR||ROE^JANE",
        "MRG|X^^^CITY&1.2.3&ISO^MR",
    )
    store = Store()
    store.take(found)
    for gone, stays in (("A", "B"), ("X", "Y")):
        link = store.by("Patient", gone)["link"]
        other = store.by("Patient", stays)["id"]
        assert link == [{"other": {"reference": f"Patient/{other}"}, "type": "replaced-by"}]


@pytest.mark.parametrize(
    ("event", "structure", "status"),
    [
        ("A01", "ADT_A01", "in-progress"),
        ("A03", "ADT_A03", "finished"),
        ("A04", "ADT_A01", "in-progress"),
        ("A05", "ADT_A05", "planned"),
        ("A11", "ADT_A09", "cancelled"),
        ("A13", "ADT_A01", "in-progress"),
    ],
)
def test_event_says_how_the_visit_stands(event: str, structure: str, status: str) -> None:
    pid = "PID|1||5^^^B&1.2&ISO^MR||DOE^JOHN"
    found = mapped(f"ADT^{event}^{structure}", f"EVN|{event}|20260105", pid, PV1)
    assert resource(found, "Encounter")["status"] == status


def test_visit_that_ends_keeps_its_beginning() -> None:
    store = Store()
    pid = "PID|1||5^^^B&1.2&ISO^MR||DOE^JOHN"
    admitted = PV1 + "|" * 25 + "20260101080000"
    store.take(mapped("ADT^A01^ADT_A01", pid, admitted))
    store.take(mapped("ADT^A03^ADT_A03", pid, PV1 + "|" * 26 + "20260104100000"))
    assert store.only("Encounter")["period"] == {
        "start": "2026-01-01T08:00:00+01:00",
        "end": "2026-01-04T10:00:00+01:00",
    }


def test_practitioners_with_a_number_are_resources_and_others_are_contained() -> None:
    pid = "PID|1||5^^^B&1.2&ISO^MR||DOE^JOHN"
    pv1 = "PV1|1|I|||||12^KNOWN^DR^^^^^^&1.9&ISO|^NAMED^DR"
    found = mapped("ADT^A01^ADT_A01", pid, pv1)
    (practitioner,) = resources(found, "Practitioner")
    assert practitioner["name"][0]["family"] == "KNOWN"
    (contained,) = resource(found, "Encounter")["contained"]
    assert contained["name"][0]["family"] == "NAMED"
    individuals = [
        each["individual"]["reference"] for each in resource(found, "Encounter")["participant"]
    ]
    assert individuals[1] == f"#{contained['id']}"


def test_two_patients_with_one_identifier_are_an_error_rather_than_a_guess() -> None:
    store = Store()
    store.take(register("5"))
    store.held["Patient/other"] = store.only("Patient") | {"id": "other"}
    plan = store.take(register("5"))
    assert [(each.severity, each.code) for each in plan.issues] == [("error", "204")]
