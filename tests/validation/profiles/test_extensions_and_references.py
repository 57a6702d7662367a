"""Extensions held against their definitions, references against the profiles of targets."""

from typing import Any

import pytest

from fhir_server.validation.profiles.run import Settings, Unknown
from tests.validation.profiles.given import (
    CORE,
    HERE,
    against,
    broken,
    element,
    extension,
    observation,
    patient,
    profile,
    referring,
    typed,
    validator,
)

COLOUR = extension(
    "colour", element("Extension.value[x]", min=1, type=[{"code": "code"}]), on="Patient"
)
TEAM = extension(
    "team",
    element("Extension.extension:name", min=1, max="1"),
    element("Extension.extension:name.url", fixedUri="name"),
    element("Extension.extension:name.value[x]", min=1, type=[{"code": "string"}]),
    element("Extension.value[x]", max="0"),
)  # fmt: skip
ANY = profile("any", "Patient")


def value(code: str = "red") -> dict[str, Any]:
    return {"url": COLOUR["url"], "valueCode": code}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (patient(extension=[value()]), []),
        (
            patient(extension=[{"url": COLOUR["url"], "valueString": "red"}]),
            [("type", "Patient.extension[0].value")],
        ),
        (patient(name=[{"extension": [value()]}]), [("context", "Patient.name[0].extension[0]")]),
        (
            patient(birthDate="2000", _birthDate={"extension": [value()]}),
            [("context", "Patient.birthDate.extension[0]")],
        ),
        (patient(modifierExtension=[value()]), [("isModifier", "Patient.modifierExtension[0]")]),
        (
            patient(
                extension=[{"url": TEAM["url"], "extension": [{"url": "x", "valueCode": "y"}]}]
            ),
            [("min", "Patient.extension[0].extension")],
        ),
        (
            patient(
                extension=[{"url": TEAM["url"], "extension": [{"url": "name", "valueCode": "y"}]}]
            ),
            [("type", "Patient.extension[0].extension[0].value")],
        ),
        (
            patient(extension=[{"url": HERE + "any", "valueCode": "y"}]),
            [("type", "Patient.extension[0]")],
        ),
    ],
)
def test_extensions_keep_to_their_definitions(
    resource: Any, expected: list[tuple[str, str]]
) -> None:
    assert against(resource, ANY, COLOUR, TEAM) == expected


@pytest.mark.parametrize(
    ("setting", "severity"),
    [
        (Unknown.IGNORE, None),
        (Unknown.INFORM, "information"),
        (Unknown.WARN, "warning"),
        (Unknown.REFUSE, "error"),
    ],
)
@pytest.mark.parametrize("place", ["extension", "modifierExtension"])
def test_unknown_extensions_are_what_the_setting_says(
    setting: Unknown, severity: str | None, place: str
) -> None:
    resource = patient(**{place: [{"url": HERE + "unknown", "valueCode": "x"}]})
    settings = Settings(unknown_extensions=setting, unknown_modifiers=setting)
    found = validator().validate(resource, settings=settings).findings
    told = [(each.rule, each.severity) for each in found if each.expression.endswith("[0]")]
    assert told == ([(place, severity)] if severity else [])


def test_modifiers_are_refused_by_default_and_others_told() -> None:
    unknown = [{"url": HERE + "unknown", "valueCode": "x"}]
    resource = patient(extension=unknown, modifierExtension=unknown)
    assert broken(validator().validate(resource)) == [
        ("modifierExtension", "Patient.modifierExtension[0]")
    ]


@pytest.mark.parametrize(
    ("context", "fine"),
    [
        ({"type": "element", "expression": "Patient.contact"}, True),
        ({"type": "element", "expression": "BackboneElement"}, True),
        ({"type": "element", "expression": "Element"}, True),
        ({"type": "element", "expression": "Patient.name"}, False),
        ({"type": "fhirpath", "expression": "Patient.contact.where(gender = 'male')"}, True),
        ({"type": "fhirpath", "expression": "Patient.contact.where(gender = 'female')"}, False),
        ({"type": "extension", "expression": HERE + "other"}, False),
    ],
)
def test_contexts(context: Any, fine: bool) -> None:
    own = extension("own") | {"context": [context]}
    contact = {
        "gender": "male",
        "name": {"text": "x"},
        "extension": [{"url": own["url"], "valueCode": "x"}],
    }
    expected = [] if fine else [("context", "Patient.contact[0].extension[0]")]
    assert against(patient(contact=[contact]), ANY, own) == expected


def test_context_invariant_sees_the_element_and_the_extension() -> None:
    own = extension("own", contextInvariant=["%extension.value = 'x' implies gender = 'male'"])
    marked = [{"url": own["url"], "valueCode": "x"}]
    assert against(patient(gender="male", extension=marked), ANY, own) == []
    assert against(patient(gender="female", extension=marked), ANY, own) == [
        ("contextInvariant", "Patient.extension[0]")
    ]


def test_profile_can_demand_an_extension() -> None:
    demanded = profile(
        "coloured",
        "Patient",
        typed("Patient.extension:colour", "Extension", COLOUR["url"], min=1, max="1"),
    )
    assert against(patient(extension=[value()]), demanded, COLOUR) == []
    assert against(patient(active=True), demanded, COLOUR) == [("min", "Patient.extension")]
    assert against(patient(extension=[value(), value()]), demanded, COLOUR) == [
        ("max", "Patient.extension[1]")
    ]


# references

ADULT = profile("adult", "Patient", element("Patient.birthDate", min=1))
OF_ADULT = profile(
    "of-adult",
    "Observation",
    referring("Observation.subject", ADULT["url"], CORE + "Group"),
)


NOT_AN_ADULT = [("targetProfile", "Observation.subject")]


def about(reference: str, **more: Any) -> dict[str, Any]:
    return observation(subject={"reference": reference}, **more)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (about("Patient/1"), []),
        (about("Group/1"), []),
        (about("Location/1"), NOT_AN_ADULT),
        (observation(subject={"type": "Device", "display": "x"}), NOT_AN_ADULT),
        (observation(subject={"display": "x"}), []),
        (about("http://example.org/somewhere"), []),
        (about("#p", contained=[patient(id="p", birthDate="2000")]), []),
        (about("#p", contained=[patient(id="p", active=True)]), NOT_AN_ADULT),
    ],
)  # fmt: skip
def test_targets_that_are_not_at_hand_are_judged_by_type(
    resource: Any, expected: list[tuple[str, str]]
) -> None:
    assert against(resource, OF_ADULT, ADULT) == expected


def test_targets_are_found_in_the_bundle_and_by_the_caller() -> None:
    url = "http://example.org/fhir"
    claiming = about("Patient/1", id="1", meta={"profile": [OF_ADULT["url"]]})
    entries = [
        {"fullUrl": f"{url}/Observation/1", "resource": claiming},
        {"fullUrl": f"{url}/Patient/1", "resource": patient(id="1", active=True)},
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    check = validator(OF_ADULT, ADULT)
    assert broken(check.validate(bundle)) == [("targetProfile", "Bundle.entry[0].resource.subject")]
    people = {
        "Patient/1": patient(id="1", birthDate="2000"),
        "Patient/2": patient(id="2", active=True),
    }
    for reference, expected in (
        ("Patient/1", []),
        ("Patient/2", NOT_AN_ADULT),
    ):
        report = check.validate(about(reference), [OF_ADULT["url"]], resolver=people.get)
        assert broken(report) == expected
    trusting = Settings(targets=False)
    report = check.validate(
        about("Patient/2"), [OF_ADULT["url"]], resolver=people.get, settings=trusting
    )
    assert broken(report) == []


def test_types_of_contained_targets_hold_without_a_profile() -> None:
    resource = about("#x", contained=[{"resourceType": "Organization", "id": "x", "name": "x"}])
    assert broken(validator().validate(resource)) == NOT_AN_ADULT


def test_circles_of_references_end() -> None:
    parent = profile(
        "linked",
        "Patient",
        referring("Patient.link.other", HERE + "linked"),
        element("Patient.birthDate", min=1),
    )

    def linked(to: str) -> dict[str, Any]:
        return patient(birthDate="2000", link=[{"type": "seealso", "other": {"reference": to}}])

    people = {"Patient/1": linked("Patient/2"), "Patient/2": linked("Patient/1")}
    assert against(linked("Patient/1"), parent, resolver=people.get) == []
    people["Patient/2"].pop("birthDate")
    assert against(linked("Patient/1"), parent, resolver=people.get) == [
        ("targetProfile", "Patient.link[0].other")
    ]
