"""The rules of single elements: how often, of what type, with what value."""

from typing import Any

import pytest

from fhir_server.validation.profiles.findings import Question
from tests.validation.profiles.given import (
    CORE,
    HERE,
    against,
    broken,
    element,
    observation,
    patient,
    profile,
    validator,
)

NAMED = profile("named", "Patient", element("Patient.name", min=1, max="1"))
CODING = {"system": "http://example.org/s", "code": "a"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (patient(name=[{"text": "x"}]), []),
        (patient(active=True), [("min", "Patient.name")]),
        (patient(name=[{"text": "x"}, {"text": "y"}]), [("max", "Patient.name[1]")]),
    ],
)
def test_cardinality(resource: Any, expected: list[tuple[str, str]]) -> None:
    assert against(resource, NAMED) == expected


def test_primitive_with_only_an_extension_is_there() -> None:
    demanded = profile("dated", "Patient", element("Patient.birthDate", min=1))
    unknown = {"extension": [{"url": CORE + "data-absent-reason", "valueCode": "unknown"}]}
    assert against(patient(_birthDate=unknown), demanded) == []


def test_cardinality_inside_each_parent() -> None:
    demanded = profile("telecoms", "Patient", element("Patient.telecom.value", min=1))
    resource = patient(telecom=[{"system": "phone", "value": "1"}, {"system": "phone"}])
    assert against(resource, demanded) == [("min", "Patient.telecom[1].value")]


@pytest.mark.parametrize(
    ("rules", "values", "broken_by"),
    [
        ({"patternCodeableConcept": {"coding": [CODING]}}, {"code": {"coding": [CODING]}}, None),
        (
            {"patternCodeableConcept": {"coding": [CODING]}},
            {"code": {"coding": [{"code": "b"}, CODING | {"display": "A"}]}},
            None,
        ),
        (
            {"patternCodeableConcept": {"coding": [CODING]}},
            {"code": {"coding": [{"code": "a"}]}},
            "pattern",
        ),
        ({"fixedCodeableConcept": {"text": "x"}}, {"code": {"text": "x"}}, None),
        ({"fixedCodeableConcept": {"text": "x"}}, {"code": {"text": "x", "id": "y"}}, "fixed"),
    ],
)
def test_fixed_is_all_and_pattern_is_part_of_a_value(
    rules: Any, values: Any, broken_by: str | None
) -> None:
    found = against(
        observation(**values), profile("p", "Observation", element("Observation.code", **rules))
    )
    assert found == ([(broken_by, "Observation.code")] if broken_by else [])


UCUM = "http://unitsofmeasure.org"
GRAM = {"value": 1, "system": UCUM, "code": "g"}


def milligrams(value: int) -> dict[str, Any]:
    return {"value": value, "system": UCUM, "code": "mg"}


@pytest.mark.parametrize(
    ("type_", "rules", "good", "bad", "rule"),
    [
        ("Quantity", {}, {"valueQuantity": GRAM}, {"valueString": "x"}, "type"),
        ("string", {"maxLength": 3}, {"valueString": "abc"}, {"valueString": "abcd"}, "maxLength"),
        ("integer", {"minValueInteger": 2}, {"valueInteger": 2}, {"valueInteger": 1}, "minValue"),
        ("integer", {"maxValueInteger": 4}, {"valueInteger": 4}, {"valueInteger": 5}, "maxValue"),
        (
            "Quantity",
            {"maxValueQuantity": GRAM},
            {"valueQuantity": milligrams(900)},
            {"valueQuantity": milligrams(1100)},
            "maxValue",
        ),
        (
            "boolean",
            {"fixedBoolean": True},
            {"valueBoolean": True},
            {"valueBoolean": False},
            "fixed",
        ),
    ],
)
def test_rules_of_a_value(type_: str, rules: Any, good: Any, bad: Any, rule: str) -> None:
    own = element("Observation.value[x]", type=[{"code": type_}], **rules)
    demanded = profile("p", "Observation", own)
    assert against(observation(**good), demanded) == []
    assert against(observation(**bad), demanded) == [(rule, "Observation.value")]


def test_choice_named_with_its_type_leaves_only_that_type() -> None:
    demanded = profile(
        "quantity",
        "Observation",
        {"id": "Observation.valueQuantity", "path": "Observation.valueQuantity", "min": 1},
        {
            "id": "Observation.valueQuantity.unit",
            "path": "Observation.valueQuantity.unit",
            "min": 1,
        },
    )
    assert against(observation(valueQuantity={"value": 1, "unit": "g"}), demanded) == []
    assert against(observation(valueQuantity={"value": 1}), demanded) == [
        ("min", "Observation.value.unit")
    ]
    assert ("type", "Observation.value") in against(observation(valueString="x"), demanded)


def test_invariants_have_their_key_severity_and_text() -> None:
    constraint = {
        "key": "own-1",
        "severity": "error",
        "human": "A name needs a family",
        "expression": "family.exists()",
    }
    advice = constraint | {"key": "own-2", "severity": "warning", "expression": "use.exists()"}
    demanded = profile("p", "Patient", element("Patient.name", constraint=[constraint, advice]))
    report = validator(demanded).validate(patient(name=[{"text": "x"}]), [demanded["url"]])
    found = [each for each in report.findings if each.rule.startswith("own")]
    assert [(each.rule, each.severity, each.expression) for each in found] == [
        ("own-1", "error", "Patient.name[0]"),
        ("own-2", "warning", "Patient.name[0]"),
    ]
    assert found[0].diagnostics == "A name needs a family [own-1]"
    assert found[0].profile == HERE + "p"
    assert not report.valid


def test_invariant_that_cannot_be_read_is_told_and_refuses_nothing() -> None:
    constraint = {"key": "own-1", "severity": "error", "expression": "name.exists("}
    demanded = profile("p", "Patient", element("Patient.name", constraint=[constraint]))
    report = validator(demanded).validate(patient(name=[{"text": "x"}]), [demanded["url"]])
    assert report.valid
    assert [each.rule for each in report.findings if each.severity == "warning"][-1] == "own-1"


def test_hostile_expression_ends_by_its_limit() -> None:
    constraint = {
        "key": "own-1",
        "severity": "error",
        "expression": "'" + "a" * 500 + "b'.matches('(a+)+$')",
    }
    demanded = profile("p", "Patient", element("Patient.name", constraint=[constraint]))
    report = validator(demanded).validate(patient(name=[{"text": "x"}]), [demanded["url"]])
    assert "own-1" in {each.rule for each in report.findings}


def test_conforms_to_and_member_of_are_answered() -> None:
    expression = f"contact.empty() or conformsTo('{NAMED['url']}')"
    demanded = profile(
        "p",
        "Patient",
        {
            "id": "Patient",
            "path": "Patient",
            "constraint": [{"key": "own-1", "severity": "error", "expression": expression}],
        },
    )
    contact = [{"name": {"text": "x"}}]
    assert against(patient(contact=contact, name=[{"text": "x"}]), demanded, NAMED) == []
    assert against(patient(contact=contact), demanded, NAMED) == [("own-1", "Patient")]


VALUES = "http://example.org/fhir/ValueSet/v"


def bound(strength: str, **more: Any) -> dict[str, Any]:
    binding = {"strength": strength, "valueSet": VALUES} | more
    return profile("bound", "Observation", element("Observation.code", binding=binding))


@pytest.mark.parametrize(
    ("strength", "severity"),
    [("required", "error"), ("extensible", "warning"), ("preferred", None), ("example", None)],
)
def test_code_outside_the_value_set_by_strength(strength: str, severity: str | None) -> None:
    demanded = bound(strength)
    answers = {Question(VALUES, "http://example.org/s", "a"): False}
    report = validator(demanded).validate(
        observation(code={"coding": [CODING]}), [demanded["url"]], answers=answers
    )
    found = [each.severity for each in report.findings if each.rule == "binding"]
    assert found == ([severity] if severity else [])


def test_codes_are_asked_for_until_they_are_answered() -> None:
    demanded = bound("required")
    resource = observation(code={"coding": [CODING, {"code": "b"}]})
    report = validator(demanded).validate(resource, [demanded["url"]])
    asked = Question(VALUES, "http://example.org/s", "a")
    assert report.questions == {asked, Question(VALUES, "", "b")}
    assert report.valid
    assert (
        against(resource, demanded, answers={asked: True, Question(VALUES, "", "b"): False}) == []
    )


async def test_conclude_asks_all_at_once_and_tells_what_nobody_knows() -> None:
    demanded = bound("required")
    rounds = []

    async def ask(questions: frozenset[Question]) -> dict[Question, bool | None]:
        rounds.append(questions)
        return dict.fromkeys(questions, None)

    report = await validator(demanded).conclude(
        observation(code={"coding": [CODING]}), [demanded["url"]], ask=ask
    )
    assert len(rounds) == 1
    assert report.valid
    assert not report.questions
    told = [each for each in report.findings if each.rule == "binding"]
    assert [(each.severity, each.code) for each in told] == [("warning", "not-found")]


def test_greatest_value_set_is_required_beside_an_extensible_one() -> None:
    greatest = {
        "url": CORE + "elementdefinition-maxValueSet",
        "valueCanonical": "http://example.org/fhir/ValueSet/max",
    }
    demanded = bound("extensible", extension=[greatest])
    answers = {
        Question(VALUES, "http://example.org/s", "a"): False,
        Question("http://example.org/fhir/ValueSet/max", "http://example.org/s", "a"): False,
    }
    found = against(observation(code={"coding": [CODING]}), demanded, answers=answers)
    assert found == [("binding", "Observation.code")]


def test_profile_on_a_data_type() -> None:
    whole = profile("whole-name", "HumanName", element("HumanName.family", min=1))
    demanded = profile(
        "p",
        "Patient",
        element("Patient.name", type=[{"code": "HumanName", "profile": [whole["url"]]}]),
    )
    assert against(patient(name=[{"family": "x"}]), demanded, whole) == []
    assert against(patient(name=[{"text": "x"}]), demanded, whole) == [
        ("min", "Patient.name[0].family")
    ]


def test_content_reference_holds_at_every_level() -> None:
    demanded = profile("q", "Questionnaire", element("Questionnaire.item.text", min=1))
    inner = {"linkId": "2", "type": "string"}
    resource = {
        "resourceType": "Questionnaire",
        "status": "draft",
        "item": [{"linkId": "1", "type": "group", "text": "x", "item": [inner]}],
    }
    assert against(resource, demanded) == [("min", "Questionnaire.item[0].item[0].text")]


def test_derived_profile_keeps_what_its_base_says() -> None:
    derived = profile("derived", "Patient", element("Patient.birthDate", min=1), base=NAMED["url"])
    assert against(patient(active=True), derived, NAMED) == [
        ("min", "Patient.name"),
        ("min", "Patient.birthDate"),
    ]


def test_structure_and_profile_are_told_together() -> None:
    found = against(patient(gender="x"), NAMED)
    assert found == [("binding", "Patient.gender"), ("min", "Patient.name")]


def test_resource_of_another_type() -> None:
    assert against(observation(), NAMED) == [("type", "Observation")]


def test_findings_say_profile_and_rule_as_fhir() -> None:
    report = validator(NAMED).validate(patient(active=True), [NAMED["url"]])
    issue = next(each for each in report.findings if each.severity == "error").to_fhir()
    assert issue["details"] == {"coding": [{"code": "min"}]}
    assert issue["extension"][0]["valueString"] == NAMED["url"]
    assert issue["expression"] == ["Patient.name"]
    assert broken(report)
