"""Each rule of the structure check with what it takes, what it refuses and where it says so."""

import copy
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhir_json import decode
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck

URL = "http://example.org/extension"


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "pulse"},
        **elements,
    }


def condition(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, **elements}


def clinical_status(*codings: dict[str, Any]) -> dict[str, Any]:
    return condition(clinicalStatus={"coding": list(codings)})


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
EXTENSION = {"extension": [{"url": URL, "valueString": "x"}]}

GOOD: list[dict[str, Any]] = [
    patient(),
    patient(id="a", meta={"profile": ["http://example.org/p"]}, active=True),
    patient(name=[{"family": "Meier", "given": ["Eva", "Maria"]}], birthDate="1980-02-29"),
    patient(birthDate="1980", _birthDate={"id": "b"}),
    patient(birthDate="1980", _birthDate=EXTENSION),
    patient(_birthDate=EXTENSION),
    patient(_birthDate={"id": "b", **EXTENSION}),
    patient(name=[{"given": ["Eva", None], "_given": [None, EXTENSION]}]),
    patient(name=[{"given": ["Eva"], "_given": [{"id": "g"}]}]),
    patient(name=[{"_given": [EXTENSION]}]),
    patient(deceasedBoolean=False),
    patient(deceasedDateTime="2020-01-01", _deceasedDateTime=EXTENSION),
    patient(extension=[{"url": URL, "extension": [{"url": "part", "valueInteger": 1}]}]),
    patient(extension=[{"url": URL, "_valueString": EXTENSION}]),
    patient(contained=[{"resourceType": "Organization", "id": "o"}]),
    observation(_status=EXTENSION),
    observation(valueQuantity={"value": Decimal("1.00"), "unit": "mg"}),
    observation(component=[{"code": {"text": "x"}, "valueInteger": 3}]),
    observation(component=[{"code": {"text": "x"}, "referenceRange": [{"text": "low"}]}]),
    clinical_status({"system": CLINICAL, "code": "active"}),
    clinical_status({"system": URL, "code": "mine"}, {"system": CLINICAL, "code": "active"}),
    condition(
        clinicalStatus={
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                    "valueCode": "unknown",
                }
            ]
        }
    ),
    {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]},
    {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": patient()}]},
    {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="},
    {"resourceType": "ValueSet", "status": "active", "language": "tlh"},
]

# resource, expected (code, expression) of every issue
BAD: list[tuple[Any, list[tuple[str, str]]]] = [
    # no resource
    (None, [("structure", "")]),
    ([], [("structure", "")]),
    ("Patient", [("structure", "")]),
    ({}, [("required", "")]),
    ({"resourceType": "Pateint"}, [("structure", "")]),
    ({"resourceType": "DomainResource"}, [("structure", "")]),
    ({"resourceType": "HumanName"}, [("structure", "")]),
    ({"resourceType": ["Patient"]}, [("structure", "")]),
    ({"resourceType": None}, [("structure", "")]),
    # unknown elements
    (patient(nmae=[]), [("structure", "Patient.nmae")]),
    (patient(name=[{"famly": "x", "text": "x"}]), [("structure", "Patient.name[0].famly")]),
    (patient(**{"no name": 1}), [("structure", "Patient")]),
    (observation(value=1), [("structure", "Observation.value")]),
    (observation(valueMoney={"value": 1}), [("structure", "Observation.valueMoney")]),
    (patient(fhir_comments=["x"]), [("structure", "Patient.fhir_comments")]),
    (patient(_id={"id": "x"}), [("structure", "Patient._id")]),
    (patient(_name=[{"id": "x"}]), [("structure", "Patient._name")]),
    (
        patient(name=[{"resourceType": "x", "text": "x"}]),
        [("structure", "Patient.name[0].resourceType")],
    ),
    (
        {"resourceType": "Binary", "contentType": "a/b", "text": {}},
        [("structure", "Binary.text")],
    ),
    # how often
    (patient(name={"family": "x"}), [("structure", "Patient.name")]),
    (patient(birthDate=["1980"]), [("structure", "Patient.birthDate")]),
    (patient(maritalStatus=[{"text": "x"}]), [("structure", "Patient.maritalStatus")]),
    (patient(name=[{"given": "Eva"}]), [("structure", "Patient.name[0].given")]),
    (patient(name=[[{"family": "x"}]]), [("structure", "Patient.name[0]")]),
    # required
    (
        {"resourceType": "Observation"},
        [("required", "Observation.code"), ("required", "Observation.status")],
    ),
    (observation(component=[{"valueInteger": 1}]), [("required", "Observation.component[0].code")]),
    (
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order",
         "subject": {"display": "x"}},
        [("required", "MedicationRequest.medication")],
    ),
    (patient(extension=[{"valueString": "x"}]), [("required", "Patient.extension[0].url")]),
    # choices
    (
        observation(valueString="x", valueInteger=1),
        [("structure", "Observation.value")],
    ),
    (
        observation(valueString="x", _valueInteger=EXTENSION),
        [("structure", "Observation.value")],
    ),
    (observation(valueInteger="x"), [("structure", "Observation.value")]),
    (observation(valueQuantity={"unti": "x"}), [("structure", "Observation.value.unti")]),
    (observation(valueQuantity={"unit": 1}), [("structure", "Observation.value.unit")]),
    # empty
    (patient(name=[]), [("structure", "Patient.name")]),
    (patient(name=[{}]), [("structure", "Patient.name[0]")]),
    (patient(name=[{"id": "only"}]), [("structure", "Patient.name[0]")]),
    (patient(name=[None]), [("structure", "Patient.name[0]")]),
    (patient(name=None), [("structure", "Patient.name")]),
    (patient(maritalStatus={}), [("structure", "Patient.maritalStatus")]),
    (patient(maritalStatus=None), [("structure", "Patient.maritalStatus")]),
    (patient(birthDate=None), [("structure", "Patient.birthDate")]),
    (patient(gender=""), [("value", "Patient.gender")]),
    (patient(name=[{"given": []}]), [("structure", "Patient.name[0].given")]),
    (patient(name=[{"given": [""]}]), [("value", "Patient.name[0].given[0]")]),
    (patient(name=[{"given": ["a", None]}]), [("structure", "Patient.name[0].given[1]")]),
    # siblings of primitives
    (patient(_birthDate={"id": "x"}), [("structure", "Patient.birthDate")]),
    (patient(birthDate="1980", _birthDate={}), [("structure", "Patient.birthDate")]),
    (patient(birthDate="1980", _birthDate=None), [("structure", "Patient.birthDate")]),
    (patient(birthDate="1980", _birthDate=[EXTENSION]), [("structure", "Patient.birthDate")]),
    (patient(_birthDate={"value": "x"}), [("structure", "Patient.birthDate.value")]),
    (patient(birthDate=None, _birthDate=EXTENSION), [("structure", "Patient.birthDate")]),
    (
        patient(name=[{"given": ["a", "b"], "_given": [EXTENSION]}]),
        [("structure", "Patient.name[0].given")],
    ),
    (
        patient(name=[{"given": [None], "_given": [None]}]),
        [("structure", "Patient.name[0].given[0]"), ("structure", "Patient.name[0].given[0]")],
    ),
    (patient(name=[{"_given": [None]}]), [("structure", "Patient.name[0].given[0]")]),
    (patient(name=[{"_given": [{"id": "x"}]}]), [("structure", "Patient.name[0].given[0]")]),
    (patient(name=[{"_given": []}]), [("structure", "Patient.name[0].given")]),
    (patient(name=[{"_given": EXTENSION}]), [("structure", "Patient.name[0].given")]),
    # extensions
    (patient(extension=[{"url": URL}]), [("invariant", "Patient.extension[0]")]),
    (
        patient(extension=[{"url": URL, "valueString": "x", **EXTENSION}]),
        [("invariant", "Patient.extension[0]")],
    ),
    (
        patient(extension=[{"url": URL, "valueString": "x", "valueCode": "x"}]),
        [("structure", "Patient.extension[0].value")],
    ),
    (
        patient(extension=[{"url": URL, "_url": EXTENSION, "valueString": "x"}]),
        [("structure", "Patient.extension[0]._url")],
    ),
    # codes
    (patient(gender="Male"), [("code-invalid", "Patient.gender")]),
    (patient(gender=1), [("structure", "Patient.gender")]),
    (
        patient(contact=[{"gender": "x"}]),
        [("code-invalid", "Patient.contact[0].gender")],
    ),
    (
        clinical_status({"system": CLINICAL, "code": "aktive"}),
        [("code-invalid", "Condition.clinicalStatus")],
    ),
    (clinical_status({"code": "active"}), [("code-invalid", "Condition.clinicalStatus")]),
    (condition(clinicalStatus={"text": "active"}), [("code-invalid", "Condition.clinicalStatus")]),
    (
        clinical_status({"system": CLINICAL, "display": "x"}),
        [("code-invalid", "Condition.clinicalStatus")],
    ),
    # resources inside resources
    (
        patient(contained=[patient(id="a", name=[{"family": 1}])]),
        [("structure", "Patient.contained[0].name[0].family")],
    ),
    (
        patient(contained=[patient(contained=[patient(id="x")])]),
        [("structure", "Patient.contained[0].contained")],
    ),
    (patient(contained=[{"id": "x"}]), [("required", "Patient.contained[0]")]),
    (patient(contained=["x"]), [("structure", "Patient.contained[0]")]),
    (
        {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": patient(x=1)}]},
        [("structure", "Bundle.entry[0].resource.x")],
    ),
    (
        {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": {"id": "a"}}]},
        [("required", "Parameters.parameter[0].resource")],
    ),
    # by type
    (patient(id="a/b"), [("value", "Patient.id")]),
    (patient(meta={"profile": ["a b"]}), [("value", "Patient.meta.profile[0]")]),
    (patient(meta={"lastUpdated": "2024-01-01"}), [("value", "Patient.meta.lastUpdated")]),
    (patient(active="true"), [("structure", "Patient.active")]),
    (observation(valueQuantity={"value": "1.0"}), [("structure", "Observation.value.value")]),
    (
        patient(text={"status": "generated", "div": "x"}),
        [("value", "Patient.text.div")],
    ),
    (
        patient(photo=[{"data": "!"}]),
        [("value", "Patient.photo[0].data")],
    ),
]  # fmt: skip


@pytest.mark.parametrize("resource", GOOD)
def test_valid_resource_has_no_issues(structure: StructureCheck, resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    assert structure.check(resource).issues == ()
    assert resource == before


@pytest.mark.parametrize(("resource", "expected"), BAD)
def test_broken_rule_is_told_with_its_place(
    structure: StructureCheck, resource: Any, expected: list[tuple[str, str]]
) -> None:
    issues = structure.check(resource).issues
    assert [(issue.code, issue.expression) for issue in issues] == expected
    assert all(issue.severity == "error" for issue in issues)


def test_all_errors_are_told_at_once(structure: StructureCheck) -> None:
    resource = patient(
        id="a b",
        active="yes",
        name=[{"given": ["Eva", 1]}, {"family": ["x"], "use": "x"}],
        contact=[{"name": {"family": ""}}, {}],
        birthDate="1980-02-30",
        surname="Meier",
    )
    assert [issue.expression for issue in structure.check(resource).issues] == [
        "Patient.id",
        "Patient.active",
        "Patient.name[0].given[1]",
        "Patient.name[1].family",
        "Patient.name[1].use",
        "Patient.contact[0].name.family",
        "Patient.contact[1]",
        "Patient.birthDate",
        "Patient.surname",
    ]


@pytest.mark.parametrize(
    ("resource", "diagnostics"),
    [
        (
            patient(brithDate="1980"),
            'Unknown element "brithDate" in Patient. Did you mean "birthDate"?',
        ),
        (
            patient(deceased=True),
            'Unknown element "deceased" in Patient. Its type is part of the name:'
            " one of deceasedBoolean, deceasedDateTime.",
        ),
        (
            {"resourceType": "Pateint"},
            "Expected a resource type of R4 such as Patient, found the string \"Pateint\"."
            ' Did you mean "Patient"?',
        ),
        (
            observation(valueInteger="x"),
            'valueInteger: Expected a whole number (integer), found the string "x".',
        ),
        (
            patient(gender="m"),
            'Expected one of "female", "male", "other", "unknown", found "m".',
        ),
        (
            clinical_status({"system": CLINICAL, "code": "aktive"}),
            'Expected a coding one of "active", "inactive", "recurrence", "relapse", "remission",'
            f' "resolved" of {CLINICAL}, found "aktive" of "{CLINICAL}".',
        ),
        (
            patient(name={"text": "x"}),
            "Expected an array, because the element may repeat, found an object.",
        ),
        (patient(maritalStatus=["x"]), "Expected an object (CodeableConcept), found an array."),
    ],
)  # fmt: skip
def test_diagnostics_say_what_was_expected(
    structure: StructureCheck, resource: dict[str, Any], diagnostics: str
) -> None:
    assert [issue.diagnostics for issue in structure.check(resource).issues] == [diagnostics]


def test_a_long_list_of_expected_codes_is_cut(structure: StructureCheck) -> None:
    resource = {"resourceType": "Bundle", "type": "x", "entry": [{"request": {"method": "FETCH"}}]}
    diagnostics = " ".join(issue.diagnostics for issue in structure.check(resource).issues)
    assert '"DELETE", "GET", "HEAD"' in diagnostics
    many = {"resourceType": "OperationDefinition", "resource": ["Pateint"]}
    text = " ".join(issue.diagnostics for issue in structure.check(many).issues)
    assert "… (148 codes)" in text


def test_issues_are_limited_for_a_hostile_body(structure: StructureCheck) -> None:
    wide = patient(**{f"x{number}": 1 for number in range(20_000)})
    assert len(structure.check(wide).issues) == 100
    long = patient(name=[{"x": 1, "y": 2}] * 20_000)
    assert len(structure.check(long).issues) == 100


def test_deep_nesting_is_refused_without_a_crash(structure: StructureCheck) -> None:
    item: dict[str, Any] = {"linkId": "0", "type": "group"}
    for number in range(5_000):
        item = {"linkId": str(number), "type": "group", "item": [item]}
    issues = structure.check(
        {"resourceType": "Questionnaire", "status": "draft", "item": [item]}
    ).issues
    assert [issue.diagnostics for issue in issues] == ["The resource is nested too deeply."]


def test_nesting_as_deep_as_json_allows_is_checked(structure: StructureCheck) -> None:
    body = '{"linkId": "x", "type": "group", "item": [' * 95
    body += '{"linkId": "x", "type": "wrong"}' + "]}" * 95
    resource = {"resourceType": "Questionnaire", "status": "draft", "item": [decode(body.encode())]}
    issues = structure.check(resource).issues
    assert [issue.code for issue in issues] == ["code-invalid"]
    assert issues[0].expression.count("item[0]") == 96


def test_one_check_serves_many_resources(structure: StructureCheck) -> None:
    assert structure.check(patient(x=1)).issues
    assert structure.check(patient()).issues == ()
    first = structure.check(observation(subject={"reference": "Patient/1"}))
    second = structure.check(observation())
    assert (len(first.references), len(second.references)) == (1, 0)


def test_threads_that_meet_a_type_at_once_agree() -> None:
    resource = observation(component=[{"code": {"text": "x"}, "valueQuantity": {"value": 1}}])
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            fresh = StructureCheck(definitions())
            checked = threads.map(fresh.check, [resource] * 8)
            assert [each.issues for each in checked] == [()] * 8
