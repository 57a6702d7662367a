"""Slices: who belongs to which, how often, in what order, and what else there may be."""

from typing import Any

import pytest

from fhir_server.validation.profiles.findings import Question
from tests.validation.profiles.given import (
    CORE,
    against,
    element,
    extension,
    observation,
    patient,
    profile,
    referring,
    sliced,
    typed,
)

HOME = {"system": "phone", "value": "1", "use": "home"}
WORK = {"system": "phone", "value": "2", "use": "work"}
MAIL = {"system": "email", "value": "3"}


def telecoms(rules: str = "open", **more: Any) -> dict[str, Any]:
    """A phone at home once or twice, a phone at work at most once."""
    return profile(
        "telecoms",
        "Patient",
        sliced("Patient.telecom", "value", "use", rules, **more),
        element("Patient.telecom:home", min=1, max="2"),
        element("Patient.telecom:home.use", min=1, fixedCode="home"),
        element("Patient.telecom:home.period", min=0, max="0"),
        element("Patient.telecom:work", max="1"),
        element("Patient.telecom:work.use", min=1, patternCode="work"),
    )


@pytest.mark.parametrize(
    ("telecom", "expected"),
    [
        ([HOME], []),
        ([HOME, WORK, HOME, MAIL], []),
        ([WORK], [("min", "Patient.telecom")]),
        ([HOME, WORK, WORK], [("max", "Patient.telecom[2]")]),
        ([HOME, HOME, HOME], [("max", "Patient.telecom[2]")]),
        ([WORK, HOME | {"period": {"start": "2024"}}], [("max", "Patient.telecom[1].period")]),
    ],
)
def test_slices_by_value(telecom: Any, expected: list[tuple[str, str]]) -> None:
    assert against(patient(telecom=telecom), telecoms()) == expected


@pytest.mark.parametrize(
    ("rules", "ordered", "telecom", "expected"),
    [
        ("closed", False, [WORK, HOME], []),
        ("closed", False, [HOME, MAIL], [("slicing", "Patient.telecom[1]")]),
        ("open", True, [HOME, MAIL, WORK], []),
        ("open", True, [WORK, HOME], [("slicing", "Patient.telecom[1]")]),
        ("openAtEnd", False, [HOME, WORK, MAIL], []),
        ("openAtEnd", False, [HOME, MAIL, WORK], [("slicing", "Patient.telecom[2]")]),
    ],
)
def test_order_and_what_else_there_may_be(
    rules: str, ordered: bool, telecom: Any, expected: list[tuple[str, str]]
) -> None:
    assert against(patient(telecom=telecom), telecoms(rules, ordered=ordered)) == expected


def test_default_slice_takes_what_no_other_takes() -> None:
    demanded = profile(
        "default",
        "Patient",
        sliced("Patient.telecom", "value", "use"),
        element("Patient.telecom:home"),
        element("Patient.telecom:home.use", min=1, fixedCode="home"),
        element("Patient.telecom:@default"),
        element("Patient.telecom:@default.rank", min=1),
    )
    assert against(patient(telecom=[HOME, MAIL | {"rank": 1}]), demanded) == []
    assert against(patient(telecom=[HOME, MAIL]), demanded) == [("min", "Patient.telecom[1].rank")]


def test_slice_of_a_slice() -> None:
    demanded = profile(
        "again",
        "Patient",
        sliced("Patient.telecom", "value", "system"),
        sliced("Patient.telecom:phone", "value", "use"),
        element("Patient.telecom:phone.system", min=1, fixedCode="phone"),
        element("Patient.telecom:phone/home", max="1"),
        element("Patient.telecom:phone/home.use", min=1, fixedCode="home"),
    )
    assert against(patient(telecom=[HOME, WORK, WORK]), demanded) == []
    email_at_home = MAIL | {"use": "home"}
    assert against(patient(telecom=[HOME, email_at_home]), demanded) == []
    assert against(patient(telecom=[HOME, HOME]), demanded) == [("max", "Patient.telecom[1]")]


SYSTEM = "http://example.org/s"


@pytest.mark.parametrize("kind", ["value", "pattern"])
def test_slices_by_pattern_of_the_value_itself(kind: str) -> None:
    pattern = {"coding": [{"system": SYSTEM, "code": "lab"}]}
    demanded = profile(
        "categories",
        "Observation",
        sliced("Observation.category", kind, "$this"),
        element("Observation.category:lab", min=1, max="1", patternCodeableConcept=pattern),
    )
    lab = {"coding": [{"system": SYSTEM, "code": "lab", "display": "Lab"}]}
    other = {"coding": [{"system": SYSTEM, "code": "other"}]}
    assert against(observation(category=[other, lab]), demanded) == []
    assert against(observation(category=[other]), demanded) == [("min", "Observation.category")]
    assert against(observation(category=[lab, lab]), demanded) == [
        ("max", "Observation.category[1]")
    ]


def test_slices_by_several_values_deep_inside() -> None:
    demanded = profile(
        "components",
        "Observation",
        element(
            "Observation.component",
            slicing={
                "discriminator": [
                    {"type": "value", "path": "code.coding.code"},
                    {"type": "value", "path": "code.coding.system"},
                ],
                "rules": "open",
            },
        ),
        element("Observation.component:a", min=1, max="1"),
        element("Observation.component:a.code.coding.code", min=1, fixedCode="a"),
        element("Observation.component:a.code.coding.system", min=1, fixedUri=SYSTEM),
        element("Observation.component:a.value[x]", min=1),
    )
    component = {"code": {"coding": [{"system": SYSTEM, "code": "a"}]}}
    elsewhere = {"code": {"coding": [{"system": "http://example.org/t", "code": "a"}]}}
    found = against(observation(component=[elsewhere, component]), demanded)
    assert found == [("min", "Observation.component[1].value")]
    assert against(observation(component=[elsewhere]), demanded) == [
        ("min", "Observation.component")
    ]


def test_slices_of_a_choice_by_type() -> None:
    demanded = profile(
        "values",
        "Observation",
        sliced("Observation.value[x]", "type", "$this"),
        element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}]),
        element("Observation.value[x]:valueQuantity.code", min=1),
    )
    assert against(observation(valueString="x"), demanded) == []
    assert against(observation(valueQuantity={"value": 1}), demanded) == [
        ("min", "Observation.value.code")
    ]


def test_slices_by_whether_something_is_there() -> None:
    demanded = profile(
        "given",
        "Patient",
        sliced("Patient.name", "exists", "period"),
        element("Patient.name:old", max="1"),
        element("Patient.name:old.period", min=1),
        element("Patient.name:now", max="1"),
        element("Patient.name:now.period", max="0"),
    )
    old, now = {"text": "x", "period": {"end": "2020"}}, {"text": "y"}
    assert against(patient(name=[old, now]), demanded) == []
    assert against(patient(name=[old, old, now]), demanded) == [("max", "Patient.name[1]")]
    assert against(patient(name=[now, now]), demanded) == [("max", "Patient.name[1]")]


def test_slices_by_an_extension() -> None:
    kind = extension("kind", element("Extension.value[x]", min=1, type=[{"code": "code"}]))
    path = f"extension('{kind['url']}').value"
    demanded = profile(
        "by-extension",
        "Patient",
        sliced("Patient.name", "value", path),
        element("Patient.name:a", max="1"),
        typed("Patient.name:a.extension:kind", "Extension", kind["url"], min=1),
        element("Patient.name:a.extension:kind.value[x]", min=1, fixedCode="a"),
    )

    def named(code: str) -> dict[str, Any]:
        return {"text": code, "extension": [{"url": kind["url"], "valueCode": code}]}

    assert against(patient(name=[named("a"), named("b"), named("b")]), demanded, kind) == []
    assert against(patient(name=[named("a"), named("a")]), demanded, kind) == [
        ("max", "Patient.name[1]")
    ]


FEMALE = profile("female", "Patient", element("Patient.gender", min=1, fixedCode="female"))


@pytest.mark.parametrize(
    ("kind", "path"), [("profile", "resolve()"), ("value", "resolve().gender")]
)
def test_slices_by_what_is_referred_to(kind: str, path: str) -> None:
    women = [{"code": "Reference", "targetProfile": [FEMALE["url"]]}]
    demanded = profile(
        "women",
        "Group",
        sliced("Group.member", kind, f"entity.{path}"),
        element("Group.member:woman", max="1"),
        element("Group.member:woman.entity", type=women),
    )

    def group(*genders: str) -> dict[str, Any]:
        return {
            "resourceType": "Group",
            "type": "person",
            "actual": True,
            "contained": [patient(id=f"p{n}", gender=each) for n, each in enumerate(genders)],
            "member": [{"entity": {"reference": f"#p{n}"}} for n in range(len(genders))],
        }

    assert against(group("male", "female", "male"), demanded, FEMALE) == []
    assert against(group("female", "male", "female"), demanded, FEMALE) == [
        ("max", "Group.member[2]")
    ]


def test_slices_by_the_type_referred_to() -> None:
    demanded = profile(
        "performers",
        "Observation",
        sliced("Observation.performer", "type", "resolve()"),
        referring("Observation.performer:org", CORE + "Organization", min=1, max="1"),
    )
    org, person = {"reference": "Organization/1"}, {"reference": "Practitioner/1"}
    assert against(observation(performer=[person, org]), demanded) == []
    assert against(observation(performer=[person]), demanded) == [("min", "Observation.performer")]
    nobody = {"display": "somebody"}
    assert against(observation(performer=[nobody]), demanded) == []


def test_slices_of_entries_by_type_and_profile_of_their_resource() -> None:
    demanded = profile(
        "document",
        "Bundle",
        sliced("Bundle.entry", "profile", "resource", "closed"),
        element("Bundle.entry:woman", min=1, max="1"),
        typed("Bundle.entry:woman.resource", "Patient", FEMALE["url"], min=1),
    )
    woman = {
        "fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        "resource": patient(gender="female"),
    }
    man = {
        "fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239521",
        "resource": patient(gender="male"),
    }

    def bundle(*entries: Any) -> dict[str, Any]:
        return {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}

    assert against(bundle(woman), demanded, FEMALE) == []
    assert against(bundle(woman, man), demanded, FEMALE) == [("slicing", "Bundle.entry[1]")]


def test_slices_of_a_value_set_wait_for_the_answer() -> None:
    values = "http://example.org/fhir/ValueSet/v"
    binding = {"strength": "required", "valueSet": values}
    demanded = profile(
        "bound",
        "Observation",
        sliced("Observation.category", "value", "$this"),
        element("Observation.category:v", min=1, binding=binding),
    )
    resource = observation(category=[{"coding": [{"system": SYSTEM, "code": "a"}]}])
    question = Question(values, SYSTEM, "a")
    assert against(resource, demanded) == []
    assert against(resource, demanded, answers={question: True}) == []
    assert against(resource, demanded, answers={question: False}) == [
        ("min", "Observation.category")
    ]
    assert against(resource, demanded, answers={question: None}) == []


def test_discriminator_that_finds_nothing_makes_the_profile_unusable() -> None:
    demanded = profile(
        "faulty",
        "Patient",
        sliced("Patient.telecom", "value", "use"),
        element("Patient.telecom:home", min=1),
    )
    assert against(patient(telecom=[HOME]), demanded) == [("profile", "Patient")]
