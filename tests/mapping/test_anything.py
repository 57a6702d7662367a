"""Whatever stands in the fields of a message: it is mapped, and what comes of it is valid R4."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhir_json import decode, encode
from fhir_server.hl7v2 import parse
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck
from tests.mapping.messages import PID, PV1, mapper, message

CHECK = StructureCheck(definitions())
MESSAGES = [
    (
        "ORM^O01^ORM_O01",
        [PID, PV1, "ORC|NW|P1^HIS", "OBR|1|P1^HIS||X^X^L|R||||||||Cough", "NTE|1||n", "TQ1|1"],
    ),
    ("OML^O21^OML_O21", [PID, "ORC|SC|P1^HIS||G|CM", "OBR|1|P1||X", "SPM|1|S1||BLD", "DG1|1||I"]),
    (
        "ORU^R01^ORU_R01",
        [PID, "OBR|1|P1|F1|X|||20260101||||||||||||||||||F", "OBX|1|NM|K||1|mg|1-2|H", "NTE|1||n"],
    ),
    ("ADT^A08^ADT_A01", ["EVN|A08", PID, "PD1|", PV1, "PV2|", "NK1|1|A", "AL1|1|DA|P", "IN1|1|B"]),
    ("ADT^A40^ADT_A39", ["EVN|A40", PID, "MRG|5^^^CITY&1.2.3&ISO^MR"]),
    ("SIU^S12^SIU_S12", ["SCH|1|2", "TQ1|1||||||20260101", PID, "RGS|1", "AIS|1||X", "AIL|1||R"]),
]
TYPES = st.sampled_from(
    ["NM", "SN", "TX", "CWE", "DT", "TM", "ED", "RP", "NA", "DR", "MO", "", "?"]
)
CHARACTERS = "ab19.-+<>^&~\\\"'/: \t\x00\x1fäß€漢%,;"
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=12),
    st.sampled_from(['""', "^^^", "&&", "20261399", "20260105081530.5-0500", "\\X0D\\", "\\.br\\"]),
    TYPES,
)


def flawed(value: Any) -> list[str]:
    return [each.diagnostics for each in CHECK.check(value).issues]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_field_may_hold_anything(data: st.DataObject) -> None:
    kind, segments = data.draw(st.sampled_from(MESSAGES))
    changed = [each.split("|") for each in segments]
    for fields in changed:
        for at, text in data.draw(st.dictionaries(st.integers(1, 50), TEXTS, max_size=6)).items():
            fields.extend([""] * (at + 1 - len(fields)))
            fields[at] = text
    found = mapper().convert(parse(message(kind, *("|".join(each) for each in changed))))
    for entry in found.entries:
        resource = decode(encode(entry.resource))
        assert flawed(resource) == [], resource


@pytest.mark.parametrize("written", ["1\t1", "1  1", "1\n1"])
def test_a_code_that_a_table_lacks_is_kept_as_a_code_may_be(written: str) -> None:
    person = f"PID|1||123^^^CITY&1.2.3&ISO^MR||DOE^JOHN||19800101|{written}"
    (patient,) = mapper().convert(parse(message("ADT^A04^ADT_A01", person))).entries
    (extension,) = patient.resource["_gender"]["extension"]
    assert extension["valueCodeableConcept"]["coding"][0]["code"] == "1 1"
    assert flawed(decode(encode(patient.resource))) == []
