"""Each element knows its rule, its place in the message and the rows of the guide it follows."""

from fhir_server.hl7v2 import parse
from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.coverage import fields_read, fields_unread
from fhir_server.mapping.explaining import Explained, explained
from tests.mapping.messages import PID, mapped, mapper, message

OBR = "OBR|1|P1^HIS|F1^LAB|CBC^Blood count^L|||||||||||||||||||||F"


def told(found: Mapped, type_: str) -> dict[str, Explained]:
    """What is told of the only resource of a type, by path."""
    urls = {each.full_url: each.type for each in found.entries}
    (elements,) = [e for url, e in explained(found, mapper().book()) if urls.get(url) == type_]
    return {each.path: each for each in elements}


def test_element_knows_its_rule_its_field_and_its_row_of_the_guide() -> None:
    patient = told(mapped("ADT^A31^ADT_A05", PID, explain=True), "Patient")
    assert patient["Patient.name[0].family"] == Explained(
        "Patient.name[0].family",
        "DOE",
        "types/people.yaml FN[HumanName] family",
        "PID-5.1.1",
        ("datatypes/FN[HumanName] FN.1",),
    )
    assert patient["Patient.gender"].guide == ("segments/PID[Patient] PID-8",)
    assert patient["Patient.identifier[0].system"].where == "PID-3: authority(.4)"


def test_second_segment_of_a_name_is_told_apart() -> None:
    found = mapped("ORU^R01^ORU_R01", PID, OBR, "OBX|1|NM|A^A^L||1", "OBX|2|NM|B^B^L||2",
                   explain=True)  # fmt: skip
    values = [
        each.where
        for _, elements in explained(found, mapper().book())
        for each in elements
        if each.path == "Observation.valueQuantity.value"
    ]
    assert values == ["OBX-5", "OBX[2]-5"]


def test_every_leaf_of_every_resource_is_explained() -> None:
    found = mapped("ORU^R01^ORU_R01", PID, "ORC|RE|P1^HIS|F1^LAB|||||||||33^DR^A^^^^^^&1.9&ISO",
                   OBR,
                   "OBX|1|NM|A^A^L||1|mg|1-2|H|||F", "NTE|1||note", explain=True)  # fmt: skip
    paths = {(url, e.path) for url, elements in explained(found, mapper().book()) for e in elements}
    for entry in found.entries:
        for path in leaves(entry.resource, entry.type):
            parents = [path[:at] for at in range(len(path)) if path[at] in ".["] + [path]
            assert any((entry.full_url, each) in paths for each in parents[1:]), path


def leaves(value: object, path: str) -> list[str]:
    if isinstance(value, dict):
        own = {name: each for name, each in value.items() if name != "resourceType"}
        keys = [each for each in own if not str(each).startswith("_")]
        generated = "hl7v2-key" in str(own.get("system"))
        return [] if generated else [p for n in keys for p in leaves(own[n], f"{path}.{n}")]
    if isinstance(value, list):
        return [p for at, each in enumerate(value) for p in leaves(each, f"{path}[{at}]")]
    return [path]


def test_fields_that_no_rule_reads_are_found() -> None:
    given = parse(message("ADT^A31^ADT_A05", PID + "|||||||||||||||||||||||||NO", "ZPI|1|x"))
    unread = fields_unread(mapper().book(), "ADT_A05", given)
    assert unread == [(("PID", 33), "NO"), (("ZPI", 2), "x")]


def test_fields_of_rules_within_rules_are_read() -> None:
    found = fields_read(mapper().book(), "ORU_R01")
    assert {("OBX", 5), ("OBX", 6), ("OBR", 25), ("PID", 3), ("NTE", 3), ("OBX", 2)} <= found
    assert ("SCH", 1) not in found
