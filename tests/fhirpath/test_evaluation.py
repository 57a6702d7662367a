from decimal import Decimal
from typing import Any

import pytest

from fhir_server import fhirpath
from fhir_server.fhirpath import FhirPathEvaluationError, Node, Services
from tests.fhirpath.samples import OBSERVATION, PATIENT


def values(source: str, resource: Any = PATIENT, **options: Any) -> list[Any]:
    return fhirpath.compile(source).evaluate(resource, **options)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name.given", ["Peter", "James", "Jim"]),
        ("name.given.count()", [4]),
        ("name.given[1].hasValue()", [False]),
        ("name.given[1].extension.url", ["http://example.org/why"]),
        ("birthDate.id", ["b"]),
        ("birthDate.extension('http://example.org/time').value", ["1974-12-25T14:35:45Z"]),
        ("multipleBirth", [2]),
        ("multipleBirthInteger", []),
        ("extension.value is Age and extension.value is Quantity", [True]),
        ("extension.value is Duration", [False]),
        ("contained.id", ["o"]),
        ("nonsense", []),
        ("Observation.status", []),
        ("Resource.id | DomainResource.id", ["p"]),
    ],
)
def test_paths_lead_to_elements(source: str, expected: list[Any]) -> None:
    assert values(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name.where(use = 'usual').given", ["Jim"]),
        ("name.where($index = 1).given", ["Jim"]),
        ("name.select($index)", [0, 1]),
        ("name.given.select($this & $index.toString())", ["Peter0", "1", "James2", "Jim3"]),
        ("name.where(given.where($index = 0) = 'Jim').use", ["usual"]),
        ("name.all(given.exists())", [True]),
        ("name.exists(family = 'X')", [False]),
        ("(1 | 2 | 3).aggregate($this + $total, 10)", [16]),
        ("(3 | 1 | 2).aggregate(iif($total.empty() or $this < $total, $this, $total))", [1]),
        ("(1 | 1 | 2).count()", [2]),
        ("1.combine(1).count()", [2]),
        ("(1 | 2 | 3).intersect(2 | 3 | 4)", [2, 3]),
        ("1.combine(1).combine(2).exclude(2)", [1, 1]),
        ("(1 | 2).subsetOf(1 | 2 | 3) and (1 | 2).supersetOf(2)", [True]),
        ("(1 | 2 | 3 | 4).skip(1).take(2)", [2, 3]),
        ("(1 | 2 | 3).tail().last()", [3]),
        ("(1 | 2 | 3)[1]", [2]),
        ("(1 | 2 | 3)[3]", []),
        ("(3 | 1 | 2).sort()", [1, 2, 3]),
        ("name.sort(-use).use", ["usual", "official"]),
        ("(true | false).anyTrue() and (true | false).allTrue().not()", [True]),
        ("1.repeat(iif($this < 3, $this + 1, {}))", [2, 3]),
        ("iif({}, 1, 2)", [2]),
        ("iif(true, 1, 1 / 'x')", [1]),
        ("1 in (1 | 2)", [True]),
        ("(1 | 2) contains 3", [False]),
        ("{} in (1 | 2)", []),
        ("true and {}", []),
        ("false and {}", [False]),
        ("{} or true", [True]),
        ("{} implies true", [True]),
        ("true xor {}", []),
        ("(0).not()", [False]),
        ("true = 1", [False]),
        ("1 = 1.0", [True]),
        ("'a' ~ ' A '", [True]),
        ("(1 | 2) ~ (2 | 1)", [True]),
        ("(1 | 2) = (2 | 1)", [False]),
        ("{} = {}", []),
        ("{} ~ {}", [True]),
        ("name[0] = name[0]", [True]),
        ("name[0] = name[1]", [False]),
        ("name ~ (name[1] | name[0])", [True]),
    ],
)
def test_collections_and_logic(source: str, expected: list[Any]) -> None:
    assert values(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("5 div 2", [2]),
        ("-5 div 2", [-2]),
        ("-5 mod 2", [-1]),
        ("2.2 mod 1.8", [Decimal("0.4")]),
        ("1 / 0", []),
        ("0.1 + 0.2 = 0.3", [True]),
        ("2147483647 + 1", []),
        ("2.power(31)", []),
        ("2.power(-1)", [Decimal("0.5")]),
        ("(-1).power(0.5)", []),
        ("(-8).sqrt()", []),
        ("100.log(10)", [2]),
        ("3.14159.round(3)", [Decimal("3.142")]),
        ("(-1.5).truncate() + (-1.5).floor() + (-1.5).ceiling()", [-4]),
        ("'1.50'.toDecimal().toString()", ["1.50"]),
        ("'x'.toInteger()", []),
        ("'yes'.toBoolean()", [True]),
        ("'2015-02'.toDate().toString()", ["2015-02"]),
        ("'4 days'.toQuantity().toString()", ["4 days"]),
        ("1.toQuantity('mg')", []),
        ("1 'g'.toQuantity('mg').toString()", ["1000 'mg'"]),
        ("'abc'.substring(1, 1) & 'abc'.indexOf('c').toString()", ["b2"]),
        ("'a,b'.split(',').join('-')", ["a-b"]),
        ("'abc'.toChars()", ["a", "b", "c"]),
        ("'test'.encode('base64').decode('base64')", ["test"]),
        ("'zz'.decode('hex')", []),
        ("'<a>'.escape('html').unescape('html')", ["<a>"]),
        ("'FHIR'.matches('H.R') and 'FHIR'.matchesFull('H.R').not()", [True]),
        ("'2015-12'.replaceMatches('(\\\\d+)-(\\\\d+)', '$2/$1')", ["12/2015"]),
        ("'abc'.replace('', 'x')", ["xaxbxcx"]),
        ("{}.startsWith('a')", []),
        ("'a' & {}", ["a"]),
        ("'a' + {}", []),
        ("now() = now() and today() = now().toDate()", [True]),
        ("1.587.lowBoundary(6)", [Decimal("1.586500")]),
        ("@2014.highBoundary(6).toString()", ["2014-12"]),
        ("@2014-01-05T10:30:00.000.precision()", [17]),
        ("1 'cm'.comparable(1 '[in_i]') and 1 'cm'.comparable(1 's').not()", [True]),
        ("1.type().name & true.type().namespace", ["IntegerSystem"]),
        ("Patient.active.type().name", ["boolean"]),
        ("active is Boolean or active is System.Boolean", [False]),
        ("active is FHIR.boolean", [True]),
        ("'x' is System.Patient", [False]),
    ],
)
def test_values_are_calculated(source: str, expected: list[Any]) -> None:
    assert values(source) == expected


@pytest.mark.parametrize(
    ("source", "position", "problem"),
    [
        ("name.given + 'x'", 5, "Expected one item but found 4"),
        ("'a' - 'b'", 4, "found System.String and System.String"),
        ("birthDate < 'x'", 10, "found System.Date and System.String"),
        ("-1.convertsToInteger()", 0, "found System.Boolean"),
        ("(1 | 2).not()", 8, "Expected one boolean but found 2 items"),
        ("name.single()", 5, "found 2"),
        ("name.startsWith('x')", 5, "Expected one item"),
        ("name[0].startsWith('x')", 8, "Expected a string but found HumanName"),
        ("(name as HumanName).use", 6, "see ofType()"),
        ("(1 | 2).iif(true, 1)", 8, "iif() takes one item"),
        ("(true | 'x').allTrue()", 13, "takes booleans only"),
        ("'a'.matches('(')", 4, "not a regular expression"),
        ("%nothing", 0, "There is no variable %nothing"),
        ("'a'.encode('rot13')", 4, "Expected one of base64"),
    ],
)
def test_what_values_do_not_allow_is_told_by_position(
    source: str, position: int, problem: str
) -> None:
    with pytest.raises(FhirPathEvaluationError) as raised:
        values(source)
    assert (raised.value.position, problem in raised.value.problem) == (position, True)


@pytest.mark.parametrize(
    ("source", "position", "problem"),
    [
        ("name.foo()", 5, "There is no function foo()"),
        ("name.first(1)", 5, "first() takes 0 arguments but was given 1"),
        ("name.ofType(nonsense)", 12, "'nonsense' is not the name of a type"),
        ("name.ofType(1)", 12, "takes the name of a type"),
        ("name.slice('x')", 5, "slice() is not supported"),
        ("@2015-02-30", 0, "Expected a Date that exists"),
    ],
)
def test_what_can_never_be_evaluated_does_not_compile(
    source: str, position: int, problem: str
) -> None:
    with pytest.raises(fhirpath.FhirPathError) as raised:
        fhirpath.compile(source)
    assert (raised.value.position, problem in raised.value.problem) == (position, True)


def test_as_keeps_the_items_of_a_type_if_asked_to() -> None:
    source = "descendants().as(date)"
    assert fhirpath.compile(source, as_filters=True).evaluate(PATIENT) == ["1974-12-25"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name.exists()", True),
        ("name.empty()", False),
        ("photo.title = 'x'", None),
        ("name[0]", True),
    ],
)
def test_conditions_have_three_results(source: str, expected: bool | None) -> None:
    assert fhirpath.compile(source).evaluate_bool(PATIENT) is expected


def test_a_condition_of_several_items_is_an_error() -> None:
    with pytest.raises(FhirPathEvaluationError, match="found 2 items"):
        fhirpath.compile("name").evaluate_bool(PATIENT)


def test_nodes_know_where_they_stand() -> None:
    node = fhirpath.compile("name.given").evaluate_nodes(PATIENT)[2]
    assert (node.value, node.type, node.path) == ("James", "string", "Patient.name[0].given[2]")
    assert node.parent is not None
    assert node.parent.value is PATIENT["name"][0]
    (value,) = fhirpath.compile("value").evaluate_nodes(OBSERVATION)
    assert (value.path, value.type) == ("Observation.value", "Quantity")
    assert value.child is not None
    assert value.child.key == "valueQuantity"


def test_items_of_both_kinds_come_in_order() -> None:
    first, second = fhirpath.compile("birthDate.combine(1)").evaluate_items(PATIENT)
    assert isinstance(first, Node)
    assert second == 1


def test_a_value_of_the_compiled_type_can_be_the_context() -> None:
    compiled = fhirpath.compile("given.first() & family", type_name="HumanName")
    assert compiled.evaluate({"given": ["A"], "family": "B"}) == ["AB"]


def test_what_is_no_resource_and_has_no_type_is_refused() -> None:
    with pytest.raises(TypeError, match="Expected a resource of R4"):
        fhirpath.compile("given").evaluate({"given": ["A"]})


def test_variables_are_values_nodes_and_resources() -> None:
    names = fhirpath.compile("name").evaluate_nodes(PATIENT)
    variables = {"n": 2, "names": names, "o": OBSERVATION, "none": None}
    assert values("%n + 1", variables=variables) == [3]
    assert values("%names.use", variables=variables) == ["official", "usual"]
    assert values("%o.value.value", variables=variables) == [Decimal("185.0")]
    assert values("%none.empty()", variables=variables) == [True]


def test_standard_variables_have_their_urls() -> None:
    source = "%ucum | %sct | %loinc | %`vs-administrative-gender` | %`ext-patient-birthTime`"
    assert values(source) == [
        "http://unitsofmeasure.org",
        "http://snomed.info/sct",
        "http://loinc.org",
        "http://hl7.org/fhir/ValueSet/administrative-gender",
        "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
    ]


def test_trace_tells_and_passes_on() -> None:
    told: list[tuple[str, list[Any]]] = []
    services = Services(trace=lambda name, items: told.append((name, items)))
    assert values("name.trace('n', use).count()", services=services) == [2]
    assert told == [("n", ["official", "usual"])]


def test_exists_stops_at_the_first() -> None:
    told: list[str] = []
    services = Services(trace=lambda name, _items: told.append(name))
    source = "(1 | 2 | 3).exists(trace('seen') = 1)"
    assert values(source, services=services) == [True]
    assert told == ["seen"]


def test_an_expression_is_compiled_once() -> None:
    assert fhirpath.compile("name.given") is fhirpath.compile("name.given")
