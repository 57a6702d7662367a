from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from fhir_server.fhirpath.compiler import compile_expression, compile_to_lookups
from fhir_server.fhirpath.errors import UnsupportedExpression

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "extension": [
        {"url": "http://example.org/a", "valueCode": "x"},
        {"url": "http://example.org/b", "valueString": "y"},
    ],
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", None, "James"]},
        {"use": "usual", "given": ["Jim"]},
    ],
    "telecom": [
        {"system": "phone", "value": "1", "rank": 1},
        {"system": "email", "value": "2", "rank": 2},
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://example.org/t", "valueDateTime": "1974-12-25"}]},
    "contact": [{"relationship": [{"text": "friend"}], "organization": {"reference": "#o"}}],
    "contained": [{"resourceType": "Organization", "id": "o"}],
    "multipleBirthInteger": 2,
    "generalPractitioner": [
        {"reference": "Practitioner/1"},
        {"reference": "http://example.org/fhir/Organization/2"},
        {"display": "unknown"},
    ],
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "valueQuantity": {"value": Decimal("6.30"), "unit": "mmol/l"},
    "component": [{"valueString": "s"}, {"valueQuantity": {"value": 1}}],
}


def evaluate(source: str, resource: dict[str, Any]) -> list[tuple[Any, str]]:
    return list(compile_expression(source, resource["resourceType"])(resource))


def values(source: str, resource: dict[str, Any] = PATIENT) -> list[Any]:
    return [value for value, _ in evaluate(source, resource)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Patient.active", [(True, "boolean")]),
        ("active", [(True, "boolean")]),
        ("Resource.id", [("p", "id")]),
        ("DomainResource.id", [("p", "id")]),
        ("Patient.name.family", [("Chalmers", "string")]),
        ("Patient.name.given", [("Peter", "string"), ("James", "string"), ("Jim", "string")]),
        ("Patient.birthDate", [("1974-12-25", "date")]),
        ("Patient.contact.relationship.text", [("friend", "string")]),
        ("Patient.multipleBirth", [(2, "integer")]),
        ("Patient.gender", []),
        ("Patient.photo.title", []),
        ("Observation.value", []),
        ("Patient.telecom[1].value", [("2", "string")]),
        ("Patient.telecom[9].value", []),
        ("Patient.name.given[2]", [("Jim", "string")]),
        ("Patient.name.given.first()", [("Peter", "string")]),
        ("Patient.birthDate[0]", [("1974-12-25", "date")]),
        ("Patient.birthDate[1]", []),
        ("Patient.name.family | Patient.id", [("Chalmers", "string"), ("p", "id")]),
        ("Patient.id | Patient.id", [("p", "id")]),
        ("{}", []),
        ("'x'", [("x", "string")]),
    ],
)
def test_a_path_yields_values_with_their_types(
    source: str, expected: list[tuple[Any, str]]
) -> None:
    assert evaluate(source, PATIENT) == expected


@pytest.mark.parametrize(
    "source",
    [
        "(Observation.value as Quantity)",
        "Observation.value.as(Quantity)",
        "Observation.value.ofType(Quantity)",
        "Observation.value.ofType(FHIR.Quantity)",
        "Observation.value.where($this is Quantity)",
    ],
)
def test_a_choice_is_narrowed_to_one_type(source: str) -> None:
    quantity = {"value": Decimal("6.30"), "unit": "mmol/l"}
    assert evaluate(source, OBSERVATION) == [(quantity, "Quantity")]


def test_a_choice_narrowed_to_a_type_reads_one_property_without_a_test() -> None:
    (branch,) = compile_expression("(Observation.value as Quantity)", "Observation").branches
    assert (branch.head, branch.many, branch.type) == ("valueQuantity", False, "Quantity")


@pytest.mark.parametrize(
    "source",
    [
        "Observation.valueQuantity",
        "Observation.component.where(false).value | Observation.valueQuantity",
    ],
)
def test_a_choice_may_be_called_as_its_property_is(source: str) -> None:
    quantity = {"value": Decimal("6.30"), "unit": "mmol/l"}
    assert evaluate(source, OBSERVATION) == [(quantity, "Quantity")]


def test_the_value_of_an_extension_may_be_called_as_its_property_is() -> None:
    source = "Patient.birthDate.extension.where(url = 'http://example.org/t').valueDateTime"
    assert values(source, PATIENT) == ["1974-12-25"]


@pytest.mark.parametrize("name", ["valueShoe", "valueQuantities", "valuequantity", "statusCode"])
def test_no_property_of_a_choice_is_made_up(name: str) -> None:
    with pytest.raises(UnsupportedExpression, match=name):
        compile_expression(f"Observation.{name}", "Observation")


def test_a_choice_may_be_narrowed_to_a_base_type() -> None:
    resource = {"resourceType": "ConceptMap", "sourceCanonical": "http://example.org/v"}
    assert evaluate("(ConceptMap.source as uri)", resource) == [
        ("http://example.org/v", "canonical")
    ]


def test_a_choice_below_a_repeated_element_is_narrowed_item_by_item() -> None:
    assert values("(Observation.component.value as Quantity).value", OBSERVATION) == [1]
    assert values("Observation.component.value", OBSERVATION) == [{"value": 1}, "s"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Patient.telecom.where(system = 'email').value", ["2"]),
        ("Patient.telecom.where(system != 'email').value", ["1"]),
        ("Patient.telecom.where(rank > 1).value", ["2"]),
        ("Patient.telecom.where(rank >= 1 and system = 'phone').value", ["1"]),
        ("Patient.telecom.where(rank = 1.0 or period.exists()).value", ["1"]),
        ("Patient.telecom.where(use = 'home').value", []),
        ("Patient.telecom.where(use != 'home').value", []),
        ("Patient.name.where(family.exists()).use", ["official"]),
        ("Patient.name.where(family.empty()).use", ["usual"]),
        ("Patient.name.where(family.exists().not()).use", ["usual"]),
        ("Patient.name.where(given = 'Jim').use", ["usual"]),
        ("Patient.name.where(family).use", ["official"]),
        ("Patient.name.where(use = 'usual' xor true).use", ["official"]),
        ("Patient.name.where(family.exists() implies use = 'old').use", ["usual"]),
        ("Patient.where(active).id", ["p"]),
        ("Patient.extension('http://example.org/b').value", ["y"]),
        ("Patient.extension('http://example.org/c').value", []),
        ("Patient.where(hasExtension('http://example.org/a')).id", ["p"]),
        ("Patient.birthDate.extension('http://example.org/t').value", ["1974-12-25"]),
        ("Patient.telecom.exists(system = 'email')", [True]),
        ("Patient.telecom.exists(system = 'fax')", [False]),
    ],
)
def test_criteria_choose_values(source: str, expected: list[Any]) -> None:
    assert values(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Patient.generalPractitioner.where(resolve() is Practitioner)", ["Practitioner/1"]),
        (
            "Patient.generalPractitioner.where(resolve() is Organization)",
            ["http://example.org/fhir/Organization/2"],
        ),
        ("Patient.generalPractitioner.where(resolve() is Device)", []),
        ("Patient.contact.organization.where(resolve() is Organization)", ["#o"]),
        ("Patient.contact.organization.where(resolve().is(Patient))", []),
    ],
)
def test_what_a_reference_resolves_to_is_read_from_its_text(
    source: str, expected: list[str]
) -> None:
    assert [reference["reference"] for reference in values(source)] == expected


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2015-02-14"}, True),
    ],
)
def test_deceased_is_known_for_every_patient(patient: dict[str, Any], expected: bool) -> None:
    source = "Patient.deceased.exists() and Patient.deceased != false"
    assert values(source, {"resourceType": "Patient", **patient}) == [expected]


@pytest.mark.parametrize(
    ("operator", "table"),
    [
        ("and", {"tt": True, "tf": False, "tn": None, "ff": False, "fn": False, "nn": None}),
        ("or", {"tt": True, "tf": True, "tn": True, "ff": False, "fn": None, "nn": None}),
        ("xor", {"tt": False, "tf": True, "tn": None, "ff": False, "fn": None, "nn": None}),
    ],
)
def test_logic_is_three_valued_and_symmetric(operator: str, table: dict[str, bool | None]) -> None:
    operands = {"t": "true", "f": "false", "n": "({} = 1)"}
    for pair, expected in table.items():
        for left, right in permutations(pair):
            found = values(f"{operands[left]} {operator} {operands[right]}")
            assert found == ([] if expected is None else [expected])


def test_implies_is_true_whenever_its_premise_is_false() -> None:
    assert values("false implies ({} = 1)") == [True]
    assert values("({} = 1) implies true") == [True]
    assert values("true implies false") == [False]
    assert values("true implies ({} = 1)") == []


def test_a_resource_of_any_type_is_tested_by_its_name() -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": PATIENT}, {"resource": OBSERVATION}, {"fullUrl": "urn:x"}],
    }
    assert evaluate("Bundle.entry[0].resource", bundle) == [(PATIENT, "Resource")]
    assert values("Bundle.entry.resource.ofType(Patient).name.family", bundle) == ["Chalmers"]
    assert values("Bundle.entry.resource.where($this is Observation).id", bundle) == []
    assert values("Bundle.entry[1].resource is Observation", bundle) == [True]
    assert values("Bundle.entry[2].resource is Observation", bundle) == []


@pytest.mark.parametrize(
    ("source", "position", "problem"),
    [
        ("Patient.nonsense", 8, "no element 'nonsense' in Patient"),
        ("Patient.name.nonsense", 13, "no element 'nonsense' in HumanName"),
        ("Nonsense.name", 0, "no element 'Nonsense' in Patient"),
        ("Patient.name.trace('x')", 13, "function trace() is not supported"),
        ("Patient.name.where()", 13, "where() was given 0 arguments"),
        ("Patient.name.given + 'x'", 19, "operator '+' is not supported"),
        ("Patient.birthDate = @2015", 18, "Values of type date cannot be compared"),
        ("Patient.name = Patient.name", 13, "Values of type HumanName cannot be compared"),
        ("Patient.name as Nonsense", 16, "'Nonsense' is not the name of a FHIR type"),
        ("Patient.name as System.String", 16, "'String' is not the name of a FHIR type"),
        ("Patient.extension(id)", 18, "extension() takes a string literal"),
        ("Patient.managingOrganization.resolve().name", 39, "only be followed by a test"),
        ("Patient.multipleBirth[0]", 21, "cannot be counted"),
        ("Patient.name[id]", 12, "Indexer is not supported"),
        ("%resource", 0, "ExternalConstant is not supported"),
        ("$index", 0, "Variable is not supported"),
        ("Patient.birthDate.value", 18, "'value' of a primitive"),
    ],
)
def test_what_no_lookups_can_do_is_refused_by_position(
    source: str, position: int, problem: str
) -> None:
    with pytest.raises(UnsupportedExpression) as refused:
        compile_to_lookups(source, "Patient")
    assert refused.value.position == position
    assert problem in refused.value.problem


def test_parts_that_speak_of_another_type_compile_to_nothing() -> None:
    source = (
        "AllergyIntolerance.code | Condition.code | Condition.subject.where(resolve() is Patient)"
    )
    assert len(compile_expression(source, "AllergyIntolerance").branches) == 1
    assert len(compile_expression(source, "Condition").branches) == 2
    assert compile_expression(source, "Patient").branches == ()


def test_an_expression_is_compiled_once() -> None:
    first = compile_expression("Patient.active", "Patient")
    assert compile_expression("Patient.active", "Patient") is first
