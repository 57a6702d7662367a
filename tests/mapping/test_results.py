"""Results in HL7 v2 messages: values by OBX-2, and corrections over time (HL7 v2 7.4)."""

from decimal import Decimal
from typing import Any

import pytest

from fhir_server.mapping.convert import KEY_SYSTEM, Mapped
from fhir_server.workflow.canonicals import ORDER_NUMBER
from tests.mapping.messages import PID, Json, Store, mapped, resource, resources

ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def result(*segments: str, status: str = "F", at: str = "20260105120000") -> Mapped:
    """A result message of one report, F1 of the order P1, issued at the message's time."""
    obr = f"OBR|1|P1^HIS|F1^LAB|CBC^Blood count^L|||20260105080000|||||||||||||||{at}|||{status}"
    return mapped("ORU^R01^ORU_R01", PID, "ORC|RE|P1^HIS|F1^LAB", obr, *segments, at=at)


def observed(obx: str) -> Json:
    """The observation of one OBX, given from OBX-2 on."""
    kind, _, rest = obx.partition("|")
    return resource(result(f"OBX|1|{kind}|TEST^Test^L||{rest}"), "Observation")


def value(obx: str) -> Any:
    """The value of such an observation, with the name of its element."""
    found = {name: each for name, each in observed(obx).items() if name.startswith("value")}
    return next(iter(found.items()), None)


def test_report_and_its_observations_are_known_by_the_numbers_of_the_filler() -> None:
    found = result("OBX|1|NM|WBC^White cells^L||4.06|10*9/L^^UCUM|4.0-10|N|||F|||20260105081500")
    urls = {each.type: each.full_url for each in found.entries}
    report = resource(found, "DiagnosticReport")
    assert report["identifier"][-1] == {
        "system": KEY_SYSTEM,
        "value": "urn:x-hl7v2:CITY:LAB/F1/CBC",
    }
    assert report["status"] == "final"
    assert report["issued"] == "2026-01-05T12:00:00+01:00"
    assert report["result"] == [{"reference": urls["Observation"]}]
    assert report["basedOn"] == [
        {
            "type": "ServiceRequest",
            "identifier": {"system": "urn:x-hl7v2:CITY:HIS", "value": "P1"},
        }
    ]
    assert resource(found, "Observation") == {
        "resourceType": "Observation",
        "identifier": [{"system": KEY_SYSTEM, "value": "urn:x-hl7v2:CITY:LAB/F1/CBC/OBX/WBC/L"}],
        "status": "final",
        "code": {
            "coding": [
                {"system": "urn:x-hl7v2:coding:local", "code": "WBC", "display": "White cells"}
            ],
            "text": "White cells",
        },
        "subject": {"reference": urls["Patient"]},
        "effectiveDateTime": "2026-01-05T08:15:00+01:00",
        "issued": "2026-01-05T12:00:00+01:00",
        "valueQuantity": {
            "value": Decimal("4.06"),
            "unit": "10*9/L",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        },
        "interpretation": [
            {
                "coding": [
                    {
                        "system": (
                            "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
                        ),
                        "code": "N",
                        "display": "Normal",
                    },
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0078", "code": "N"},
                ]
            }
        ],
        "referenceRange": [
            {
                "text": "4.0-10",
                "low": {
                    "value": Decimal("4.0"),
                    "unit": "10*9/L",
                    "system": "http://unitsofmeasure.org",
                    "code": "10*9/L",
                },
                "high": {
                    "value": Decimal(10),
                    "unit": "10*9/L",
                    "system": "http://unitsofmeasure.org",
                    "code": "10*9/L",
                },
            }
        ],
    }


def test_final_report_is_the_step_that_reports_the_order() -> None:
    found = result("OBX|1|NM|K^Potassium^L||7.1|mmol/L||HH|||F")
    (step,) = found.steps
    report, observation = (
        next(each.full_url for each in found.entries if each.type == type_)
        for type_ in ("DiagnosticReport", "Observation")
    )
    assert step.order == ("urn:x-hl7v2:CITY:HIS|P1", f"{ORDER_NUMBER}|P1")
    assert (step.step, step.status, step.url) == ("report", "final", report)
    assert step.inputs["result"] == "critical"
    assert step.inputs["observation"] == [observation]


@pytest.mark.parametrize(
    ("status", "expected", "step"),
    [
        ("O", "registered", ""),
        ("I", "registered", ""),
        ("S", "registered", ""),
        ("N", "registered", ""),
        ("A", "partial", "preliminary-report"),
        ("R", "partial", "preliminary-report"),
        ("P", "preliminary", "preliminary-report"),
        ("F", "final", "report"),
        ("F^Final results^HL70123", "final", "report"),
        ("C", "corrected", "amend"),
        ("M", "amended", "amend"),
        ("X", "cancelled", ""),
    ],
)
def test_status_of_a_report(status: str, expected: str, step: str) -> None:
    found = result("OBX|1|ST|T^T^L||x", status=status)
    assert resource(found, "DiagnosticReport")["status"] == expected
    assert [each.step for each in found.steps] == [step]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("A", "amended"), ("B", "amended"), ("C", "corrected"), ("D", "entered-in-error"),
     ("F", "final"), ("I", "registered"), ("N", "cancelled"), ("O", "registered"),
     ("P", "preliminary"), ("R", "preliminary"), ("S", "preliminary"), ("U", "final"),
     ("V", "final"), ("W", "entered-in-error"), ("X", "cancelled"), ("", "final")],
)  # fmt: skip
def test_status_of_an_observation(status: str, expected: str) -> None:
    found = result(f"OBX|1|ST|T^T^L||x|||||||{status}".replace("|||||||", "||||||"))
    assert resource(found, "Observation")["status"] == expected


def test_status_that_is_in_no_table_is_kept_beside_unknown() -> None:
    found = result("OBX|1|ST|T^T^L||x", status="Q")
    report = resource(found, "DiagnosticReport")
    assert report["status"] == "unknown"
    (extension,) = report["_status"]["extension"]
    assert extension["valueCodeableConcept"]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v2-0123", "code": "Q"}
    ]
    assert [(each.code, each.where) for each in found.issues][:1] == [("103", "OBR-25")]


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("NM|4.060", ("valueQuantity", {"value": Decimal("4.060")})),
        ("NM|1,5", ("valueString", "1,5")),
        ("NUM|7", ("valueQuantity", {"value": Decimal(7)})),
        ("NM|<5|mg", ("valueQuantity", {"value": Decimal(5), "comparator": "<", "unit": "mg"})),
        ("NM|positive", ("valueString", "positive")),
        ("ST|a\\T\\b", ("valueString", "a&b")),
        ("ST|a^b", ("valueString", "a^b")),
        ("FT|one\\.br\\two", ("valueString", "one\ntwo")),
        ("TX|one~two", ("valueString", "one\ntwo")),
        ("TXT|some", ("valueString", "some")),
        ("|some", ("valueString", "some")),
        ("DT|20260105", ("valueDateTime", "2026-01-05")),
        ("TS|202601051130+0200", ("valueDateTime", "2026-01-05T11:30:00+02:00")),
        ("TS|yesterday", ("valueString", "yesterday")),
        ("TM|0815", ("valueTime", "08:15:00")),
        ("DR|20260101^20260102", ("valuePeriod", {"start": "2026-01-01", "end": "2026-01-02"})),
        ("NR|1^2", ("valueRange", {"low": {"value": Decimal(1)}, "high": {"value": Decimal(2)}})),
        ("SN|>^9|mg", ("valueQuantity", {"comparator": ">", "value": Decimal(9), "unit": "mg"})),
        ("SN|^1^:^128", ("valueRatio", {"numerator": {"value": Decimal(1)},
                                        "denominator": {"value": Decimal(128)}})),
        ("SN|^2^-^4", ("valueRange", {"low": {"value": Decimal(2)},
                                      "high": {"value": Decimal(4)}})),
        ("SN|^2^+", ("valueString", "2 +")),
        ("SN|<>^5", ("valueString", "<> 5")),
        ("MO|20^EUR", ("valueQuantity", {"value": Decimal(20), "unit": "EUR", "code": "EUR",
                                         "system": "urn:iso:std:iso:4217"})),
        ("XTN|^PRN^PH^^^555^1234", ("valueString", "^PRN^PH^^^555^1234")),
        ("VR|a^b", ("valueString", "a-b")),
    ],
)  # fmt: skip
def test_value_by_its_type(obx: str, expected: Any) -> None:
    assert value(obx) == expected


@pytest.mark.parametrize("obx", ["NM|1,5", "NM|positive", "|some"])
def test_value_that_is_not_of_its_type_is_an_issue(obx: str) -> None:
    kind, _, text = obx.partition("|")
    found = result(f"OBX|1|{kind}|TEST^Test^L||{text}")
    assert [(each.code, each.where) for each in found.issues] == [("102", "OBX-5")]


def test_coded_value_keeps_all_its_codings() -> None:
    assert value("CWE|260385009^Negative^SCT^N^Neg^L") == (
        "valueCodeableConcept",
        {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "260385009", "display": "Negative"},
                {"system": "urn:x-hl7v2:coding:local", "code": "N", "display": "Neg"},
            ],
            "text": "Negative",
        },
    )


def test_series_of_numbers_is_sampled_data() -> None:
    name, found = value("NA|1^2^3")
    assert (name, found["data"]) == ("valueSampledData", "1 2 3")


def test_embedded_data_is_a_form_of_the_report() -> None:
    found = result("OBX|1|ED|PDF^Report^L||^application^pdf^Base64^SGVs\rbG8=|||||||F")
    (form,) = resource(found, "DiagnosticReport")["presentedForm"]
    assert form == {"contentType": "application/pdf", "data": "SGVsbG8=", "title": "Report"}


def test_embedded_data_in_hexadecimal_becomes_base64() -> None:
    found = result("OBX|1|ED|X^X^L||^TX^plain^Hex^48656c6c6f|||||||F")
    assert resource(found, "DiagnosticReport")["presentedForm"][0]["data"] == "SGVsbG8="


def test_pointer_is_a_form_of_the_report() -> None:
    found = result("OBX|1|RP|X^X^L||https://pacs/1\\T\\2^PACS^IM^JPEG|||||||F")
    assert resource(found, "DiagnosticReport")["presentedForm"] == [
        {"url": "https://pacs/1&2", "contentType": "image/jpeg", "title": "PACS"}
    ]


def test_several_values_are_components() -> None:
    found = observed("NM|120~80|mm[Hg]^^UCUM")
    assert [each["valueQuantity"]["value"] for each in found["component"]] == [120, 80]
    assert not any(name.startswith("value") for name in found)


def test_lines_of_a_text_are_one_observation() -> None:
    found = result(
        "OBX|1|TX|GDT^Findings^L||The heart is of normal size.",
        "OBX|2|TX|GDT^Findings^L||The lungs are clear.",
        "OBX|3|TX|IMP^Impression^L||Normal chest.",
    )
    findings, impression = resources(found, "Observation")
    assert findings["valueString"] == "The heart is of normal size.\nThe lungs are clear."
    assert impression["valueString"] == "Normal chest."
    assert resource(found, "DiagnosticReport")["conclusion"] == "Normal chest."
    inputs = found.steps[0].inputs
    assert inputs["findings"] == "The heart is of normal size.\nThe lungs are clear."
    assert inputs["impression"] == "Normal chest."


def test_result_without_a_value_says_why() -> None:
    reasons = {
        status: resource(result(f"OBX|1|NM|T^T^L|||||||{'|'}{status}"), "Observation")
        for status in ("X", "N", "F")
    }
    codes = {s: e["dataAbsentReason"]["coding"][0]["code"] for s, e in reasons.items()}
    assert codes == {"X": "not-performed", "N": "not-asked", "F": "unknown"}


def test_panels_of_one_message_are_reports_with_their_own_observations() -> None:
    found = mapped(
        "ORU^R01^ORU_R01",
        PID,
        "OBR|1|P1^HIS|F1^LAB|CBC^Blood count^L|||||||||||||||||||||F",
        "OBX|1|NM|WBC^W^L||4",
        "OBR|2|P2^HIS|F2^LAB|LIP^Lipids^L|||||||||||||||||||||P",
        "OBX|1|NM|LDL^L^L||3",
        "OBX|2|NM|HDL^H^L||1",
    )
    first, second = resources(found, "DiagnosticReport")
    assert (len(first["result"]), len(second["result"])) == (1, 2)
    assert (first["status"], second["status"]) == ("final", "preliminary")


def test_correction_changes_the_observation_where_it_is() -> None:
    store = Store()
    store.take(result("OBX|1|NM|K^K^L||3.9|mmol/L|||||P", status="P", at="20260105100000"))
    store.take(result("OBX|1|NM|K^K^L||4.1|mmol/L|||||F", at="20260105110000"))
    store.take(result("OBX|1|NM|K^K^L||5.1|mmol/L|||||C", status="C", at="20260105120000"))
    observation, report = store.only("Observation"), store.only("DiagnosticReport")
    assert (observation["status"], report["status"]) == ("corrected", "corrected")
    assert observation["valueQuantity"]["value"] == Decimal("5.1")
    place = f"Observation/{observation['id']}"
    history = [each["valueQuantity"]["value"] for where, each in store.history if where == place]
    assert history == [Decimal("3.9"), Decimal("4.1"), Decimal("5.1")]


def test_value_of_another_type_replaces_the_earlier_one() -> None:
    store = Store()
    store.take(result("OBX|1|NM|K^K^L||3.9", status="P", at="20260105100000"))
    store.take(result("OBX|1|ST|K^K^L||haemolytic", at="20260105110000"))
    observation = store.only("Observation")
    assert observation["valueString"] == "haemolytic"
    assert "valueQuantity" not in observation


def test_older_message_does_not_overwrite_a_newer_result() -> None:
    store = Store()
    store.take(result("OBX|1|NM|K^K^L||5.1", status="C", at="20260105120000"))
    plan = store.take(result("OBX|1|NM|K^K^L||3.9", status="P", at="20260105100000"))
    assert store.only("Observation")["valueQuantity"]["value"] == Decimal("5.1")
    assert store.only("DiagnosticReport")["status"] == "corrected"
    assert ["is newer" in each.text for each in plan.issues] == [True, True]


def test_the_same_message_again_changes_nothing() -> None:
    store = Store()
    store.take(result("OBX|1|NM|K^K^L||5.1"))
    plan = store.take(result("OBX|1|NM|K^K^L||5.1"))
    assert [each.new for each in plan.resources] == [None] * len(plan.resources)


def test_snapshot_without_an_observation_leaves_it() -> None:
    store = Store()
    store.take(result("OBX|1|NM|K^K^L||5.1", "OBX|2|NM|NA^N^L||140", at="20260105100000"))
    store.take(result("OBX|1|NM|K^K^L||5.2", status="C", at="20260105110000"))
    assert len(store.all("Observation")) == 2
    assert len(store.only("DiagnosticReport")["result"]) == 2


def test_status_alone_keeps_the_stored_value() -> None:
    store = Store()
    store.take(result("OBX|1|NM|K^K^L||5.1||||||P", status="P", at="20260105100000"))
    store.take(result("OBX|1|NM|K^K^L||||||||U", at="20260105110000"))
    observation = store.only("Observation")
    assert (observation["status"], observation["valueQuantity"]["value"]) == (
        "final",
        Decimal("5.1"),
    )


def test_results_find_their_order() -> None:
    store = Store()
    store.take(mapped("ORM^O01^ORM_O01", PID, "ORC|NW|P1^HIS", "OBR|1|P1^HIS||CBC^B^L"))
    plan = store.take(result("OBX|1|NM|K^K^L||5.1"))
    order = store.only("ServiceRequest")["id"]
    assert plan.order_ids == [order]
    assert store.only("DiagnosticReport")["basedOn"] == [{"reference": f"ServiceRequest/{order}"}]


def test_instance_identifier_of_an_observation_is_its_key() -> None:
    found = result("OBX|1|NM|K^K^L||5.1||||||F||||||||||I9^LAB")
    keys = [each["value"] for each in resource(found, "Observation")["identifier"]]
    assert keys == ["I9", "urn:x-hl7v2:CITY:LAB/I9"]
    assert found.entries[-1].tokens == (f"{KEY_SYSTEM}|urn:x-hl7v2:CITY:LAB/I9",)


def test_panels_of_one_order_are_reports_of_their_own() -> None:
    store = Store()
    for code in ("CBC", "LIP"):
        obr = f"OBR|1|P1^HIS|F1^LAB|{code}^{code}^L|||||||||||||||||||||F"
        store.take(mapped("ORU^R01^ORU_R01", PID, obr, "OBX|1|NM|K^K^L||1"))
    assert len(store.all("DiagnosticReport")) == 2
    assert len(store.all("Observation")) == 2


def test_the_same_test_twice_in_a_report_is_two_observations() -> None:
    store = Store()
    twice = ("OBX|1|NM|K^K^L||3.9", "OBX|2|NM|K^K^L||4.1")
    store.take(result(*twice))
    plan = store.take(result(*twice))
    assert [e["valueQuantity"]["value"] for e in store.all("Observation")] == [
        Decimal("3.9"),
        Decimal("4.1"),
    ]
    assert not any(each.new for each in plan.resources)
