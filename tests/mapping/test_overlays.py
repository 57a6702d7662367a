"""Mapping files of integrators: checked when they are read, put over those of the server."""

import shutil
from pathlib import Path

import pytest

from fhir_server.hl7v2 import parse
from fhir_server.mapping.convert import Mapped, Mapper
from fhir_server.mapping.rules import MappingError
from fhir_server.packaged import folder
from fhir_server.workflow.canonicals import BASE
from tests.mapping.messages import PID, message, resource


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the rules, to be written to."""
    shutil.copytree(folder("mappings"), tmp_path / "mappings")
    (tmp_path / "mappings" / "overlays").mkdir(exist_ok=True)
    return tmp_path / "mappings"


def overlay(rules: Path, text: str, name: str = "city") -> Mapper:
    (rules / "overlays" / f"{name}.yaml").write_text(text, encoding="utf-8")
    mapper = Mapper(rules)
    mapper.check()
    return mapper


def converted(mapper: Mapper, *segments: str, kind: str = "ADT^A31^ADT_A05") -> Mapped:
    return mapper.convert(parse(message(kind, *segments)))


def test_overlay_is_for_the_sender_it_names(rules: Path) -> None:
    mapper = overlay(
        rules,
        """
overlay: {when: {application: HIS, facility: [CITY, TOWN*], version: 2.5*}}
sender: {zone: America/New_York, authority: "urn:oid:1.2.3.4"}
tables: {AdministrativeSex: {codes: {X: other}}}
""",
    )
    found = converted(mapper, "PID|1||5||DOE^JOHN|||X", "PV1|1|O" + "|" * 42 + "20260105080000")
    assert found.overlays == ("overlays/city.yaml",)
    patient = resource(found, "Patient")
    assert patient["identifier"] == [{"system": "urn:oid:1.2.3.4", "value": "5"}]
    assert patient["gender"] == "other"
    assert resource(found, "Encounter")["period"]["start"] == "2026-01-05T08:00:00-05:00"
    elsewhere = mapper.convert(
        parse(message("ADT^A31^ADT_A05", "PID|1||5||||||X").replace(b"|CITY|", b"|VILLAGE|", 1))
    )
    assert elsewhere.overlays == ()
    assert "gender" not in resource(elsewhere, "Patient") or elsewhere.issues


def test_rule_of_an_overlay_replaces_removes_and_adds(rules: Path) -> None:
    mapper = overlay(
        rules,
        """
overlay: {when: {facility: CITY}}
mappings:
  PID[Patient]:
    rules:
      - {id: birthDate, element: birthDate, from: ZPI-2}
      - {id: gender, remove: true}
      - {element: deceasedBoolean, from: ZPI-3}
""",
    )
    found = converted(mapper, "PID|1||5||DOE^JOHN||19800101|M", "ZPI|1|19790203|Y")
    patient = resource(found, "Patient")
    assert patient["birthDate"] == "1979-02-03"
    assert patient["deceasedBoolean"] is True
    assert "gender" not in patient


def test_later_overlay_wins(rules: Path) -> None:
    overlay(
        rules,
        "overlay: {when: {facility: CITY}, order: 2}\n"
        "tables: {AdministrativeSex: {codes: {X: other}}}",
        "a",
    )
    mapper = overlay(
        rules,
        "overlay: {when: {facility: CITY}, order: 1}\n"
        "tables: {AdministrativeSex: {codes: {X: male}}}",
        "b",
    )
    found = converted(mapper, "PID|1||5||DOE^JOHN|||X")
    assert resource(found, "Patient")["gender"] == "other"


def test_authority_of_a_sender(rules: Path) -> None:
    mapper = overlay(
        rules,
        """
overlay: {when: {facility: CITY}}
authorities:
  - {namespace: HIS, system: https://city.example/orders}
""",
    )
    found = converted(mapper, PID, "ORC|NW|P1^HIS", "OBR|1|P1^HIS||X^X^L", kind="ORM^O01^ORM_O01")
    assert found.steps[0].order[0] == "https://city.example/orders|P1"


def test_filler_that_does_not_accept_an_order_cancels_it(rules: Path) -> None:
    mapper = overlay(rules, "overlay: {when: {facility: CITY}}\nsender: {role: filler}")
    orc = "ORC|UA|P1^HIS||||||||||||||N^No such study^L"
    found = converted(mapper, PID, orc, "OBR|1|P1^HIS||X^X^L", kind="ORR^O02^ORM_O01")
    (step,) = found.steps
    assert (step.step, step.inputs["reason"]) == (
        "cancel",
        "Not accepted by the filler: No such study",
    )


def test_result_can_make_the_request_that_nobody_sent(rules: Path) -> None:
    mapper = overlay(
        rules,
        """
overlay: {when: {message: ORU^*}}
messages:
  ORU_R01:
    resources: [{use: patient}, {use: order, mode: create}, {use: report}, {use: observation}]
""",
    )
    obr = "OBR|1|P1^HIS|F1^LAB|X^X^L|||||||||||||||||||||F"
    found = converted(mapper, PID, obr, kind="ORU^R01^ORU_R01")
    assert resource(found, "ServiceRequest")["status"] == "active"


CITY = "overlay: {when: {facility: CITY}}\n"


def rule(text: str) -> str:
    """An overlay with one rule for patients."""
    return f'{CITY}mappings:\n  "PID[Patient]":\n    rules:\n      - {{{text}}}\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("overlay: {when: {}}", "overlays/city.yaml: overlay.when"),
        (f"{CITY}rulez: {{}}", "'rulez' was unexpected"),
        (f"{CITY}  bad", "overlays/city.yaml: "),
        (rule("element: nme, from: PID-5"), "Patient has no element nme"),
        (rule("element: active, from: PID-"), "unknown"),
        (rule("id: x, element: gender, from: PID-8, table: Nothing"), "the table Nothing"),
        (rule("id: x, element: gender, value: m"), "'m' is no code of"),
        (rule("id: x, element: name, from: PID-5"), "expected `as`"),
        (rule("id: x, element: name, from: PID-5, as: XXX"), "there is no mapping XXX"),
        (rule("id: x, element: active, from: 4"), "4 is not of type 'string'"),
        (f"{CITY}sender: {{zone: Nowhere}}", "'Nowhere' is no time zone"),
        (f"{CITY}messages: {{ADT_A05: {{resources: [{{use: nothing}}]}}}}", "no resource nothing"),
        (f"{CITY}structures: {{ADT_A05: 'PID('}}", "does not end"),
        (f"{CITY}mappings: {{New: {{rules: []}}}}", "expected `to`"),
    ],
)
def test_wrong_file_is_refused_with_what_is_wrong(rules: Path, text: str, told: str) -> None:
    with pytest.raises(MappingError) as refused:
        overlay(rules, text)
    assert told in str(refused.value)


def test_texts_that_yaml_takes_for_something_else_stay_texts(rules: Path) -> None:
    mapper = overlay(
        rules,
        "overlay: {when: {version: 2.5.1}}\n"
        "tables: {AdministrativeSex: {codes: {N: male, 1: female}}}",
    )
    assert resource(converted(mapper, "PID|1||5|||||N"), "Patient")["gender"] == "male"
    assert resource(converted(mapper, "PID|1||5|||||1"), "Patient")["gender"] == "female"


def test_reloading_takes_what_is_new_and_keeps_the_old_when_it_is_wrong(rules: Path) -> None:
    mapper = overlay(rules, "overlay: {when: {facility: CITY}}")
    path = rules / "overlays" / "city.yaml"
    path.write_text(
        "overlay: {when: {facility: CITY}}\ntables: {AdministrativeSex: {codes: {X: other}}}",
        encoding="utf-8",
    )
    mapper.reload()
    path.write_text("overlay: {when: {}}", encoding="utf-8")
    with pytest.raises(MappingError):
        mapper.reload()
    assert resource(converted(mapper, "PID|1||5|||||X"), "Patient")["gender"] == "other"


def test_procedure_of_a_sender_says_modality_and_body_part(rules: Path) -> None:
    mapper = overlay(
        rules,
        f"""{CITY}
tables:
  ModalityOfProcedure: {{codes: {{CTABD: CT}}}}
  BodyPartOfProcedure: {{codes: {{CTABD: ABDOMEN}}}}
""",
    )
    obr = "OBR|1|P1^HIS||CTABD^CT of the abdomen^L|||||||||||||||||||||RAD"
    found = converted(mapper, PID, "ORC|NW|P1^HIS", obr, kind="ORM^O01^ORM_O01")
    order = resource(found, "ServiceRequest")
    assert order["bodySite"] == [
        {"coding": [{"system": f"{BASE}/CodeSystem/body-part", "code": "ABDOMEN"}]}
    ]
    assert [each["valueCoding"]["code"] for each in order["extension"]] == ["CT"]
