"""Snapshots made from differentials, profiles that cannot be used, and hostile input."""

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.spec import definitions
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.profiles.run import Settings
from fhir_server.validation.profiles.tree import ProfileFault, flat, tree
from fhir_server.validation.profiles.validator import Invariants
from tests.validation.profiles.given import (
    HERE,
    Json,
    against,
    broken,
    element,
    observation,
    patient,
    profile,
    sliced,
    typed,
    validator,
)


def snapshot(*structures: Json) -> dict[str, Json]:
    known = {each["url"]: each for each in structures}
    library = Library(known.get, definitions())
    made = library.snapshot(structures[0]["url"])
    assert made is not None
    return {each["id"]: each for each in flat(made)}


def test_snapshot_unfolds_types_only_where_something_changes() -> None:
    made = snapshot(profile("p", "Patient", element("Patient.name.family", min=1)))
    assert made["Patient.name.family"]["min"] == 1
    assert made["Patient.name.given"]["max"] == "*"
    assert "Patient.address.city" not in made
    assert made["Patient.contact.name"]["max"] == "1"


def test_snapshot_has_slices_after_what_they_slice_with_their_children() -> None:
    made = snapshot(
        profile(
            "p",
            "Observation",
            sliced("Observation.component", "value", "code"),
            element("Observation.component:a", min=1),
            element("Observation.component:a.code", patternCodeableConcept={"text": "a"}),
        )
    )
    ids = list(made)
    assert ids.index("Observation.component.value[x]") < ids.index("Observation.component:a")
    assert made["Observation.component:a.code"]["patternCodeableConcept"] == {"text": "a"}
    assert made["Observation.component:a.code"]["min"] == 1
    assert made["Observation.component:a"]["sliceName"] == "a"
    assert made["Observation.component:a"]["path"] == "Observation.component"
    assert "slicing" not in made["Observation.component:a"]


def test_flat_list_of_a_tree_is_the_list() -> None:
    made = list(snapshot(profile("p", "Patient", element("Patient.name:a.family", min=1))).values())
    assert flat(tree("p", made)) == made


def test_elements_without_ids_belong_to_what_stands_above() -> None:
    elements: list[Any] = [
        {"path": "Patient"},
        {"path": "Patient.name", "slicing": {"rules": "open"}},
        {"path": "Patient.name", "sliceName": "a"},
        {"path": "Patient.name.family", "min": 1},
        {"path": "Patient.gender", "min": 1},
    ]
    ids = [each["id"] for each in flat(tree("p", elements))]
    assert ids == [
        "Patient",
        "Patient.name",
        "Patient.name:a",
        "Patient.name:a.family",
        "Patient.gender",
    ]


FAULTY = [
    (profile("p", "Patient", base=HERE + "nowhere"), "is not known"),
    (profile("p", "Patient", base=HERE + "p"), "never end"),
    (profile("p", "Patient", element("Patient.nmae", min=1)), "There is no element nmae"),
    (profile("p", "Patient", element("Patient.gender", max="2")), "may be 2 times"),
    (profile("p", "Patient") | {"derivation": "specialization"}, "only a constraint"),
    (profile("p", "Patient") | {"type": "Nothing"}, "R4 has no type"),
    (profile("p", "Patient", element("Observation.code", min=1)), "is not below"),
    (
        profile("p", "Patient", sliced("Patient.name", "value", "a b"), element("Patient.name:a")),
        "not understood",
    ),
    (profile("p", "Patient") | {"differential": {"element": [{"path": 5}]}}, "has no path"),
]


@pytest.mark.parametrize(("faulty", "why"), FAULTY)
def test_profile_that_cannot_be_used_is_an_error_that_says_why(faulty: Json, why: str) -> None:
    report = validator(faulty).validate(patient(active=True), [faulty["url"]])
    assert broken(report) == [("profile", "Patient")]
    told = next(each for each in report.findings if each.severity == "error")
    assert why in told.diagnostics
    assert told.profile == faulty["url"]


@pytest.mark.parametrize(("faulty", "why"), FAULTY[:3])
def test_claimed_profile_that_cannot_be_used_is_told(faulty: Json, why: str) -> None:
    resource = patient(active=True, meta={"profile": [faulty["url"]]})
    report = validator(faulty).validate(resource)
    assert report.valid
    told = [each for each in report.findings if each.rule == "profile"]
    assert [each.severity for each in told] == ["warning"]
    assert why in told[0].diagnostics


def test_profile_that_is_not_known() -> None:
    url = HERE + "nowhere"
    assert broken(validator().validate(patient(active=True), [url])) == [("profile", "Patient")]
    claimed = validator().validate(patient(active=True, meta={"profile": [url]}))
    assert claimed.valid
    assert ("profile", "warning") in {(each.rule, each.severity) for each in claimed.findings}


def test_bases_in_a_circle_of_two() -> None:
    one = profile("one", "Patient", base=HERE + "two")
    two = profile("two", "Patient", base=HERE + "one")
    assert against(patient(active=True), one, two) == [("profile", "Patient")]
    library = Library({one["url"]: one, two["url"]: two}.get, definitions())
    with pytest.raises(ProfileFault):
        library.structure(two["url"])


def test_type_profile_that_contains_itself_ends() -> None:
    nested = profile(
        "nested",
        "Extension",
        element("Extension.extension", type=[{"code": "Extension", "profile": [HERE + "nested"]}]),
    )
    name = profile(
        "name",
        "Patient",
        element("Patient.name", type=[{"code": "HumanName", "profile": [HERE + "human"]}]),
    )
    human = profile(
        "human", "HumanName", typed("HumanName.extension", "Extension", HERE + "nested")
    )
    assert against(patient(name=[{"text": "x"}]), name, human, nested) == []


def test_claimed_profiles_are_honoured_everywhere_and_by_setting() -> None:
    named = profile("named", "Patient", element("Patient.name", min=1))
    contained = patient(id="p", active=True, meta={"profile": [named["url"] + "|1.0"]})
    resource = observation(subject={"reference": "#p"}, contained=[contained])
    check = validator(named)
    assert broken(check.validate(resource)) == [("min", "Observation.contained[0].name")]
    assert broken(check.validate(resource, settings=Settings(claimed=False))) == []


UNKNOWN = [{"url": HERE + "unknown", "valueCode": "x"} for _ in range(3000)]


def test_warnings_never_hide_an_error() -> None:
    demanded = profile("p", "Patient", element("Patient.name", min=1))
    assert against(patient(extension=UNKNOWN), demanded) == [("min", "Patient.name")]


def test_findings_of_a_hostile_resource_are_bounded() -> None:
    names = [{"text": "x"} for _ in range(3000)]
    demanded = profile("p", "Patient", element("Patient.name.family", min=1))
    report = validator(demanded).validate(patient(name=names, extension=UNKNOWN), [demanded["url"]])
    assert len(broken(report)) == 100
    assert len(report.findings) <= 200
    assert {each.rule for each in report.findings} == {"min", "extension", "dom-6"}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "x", "Patient", "#", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "reference",
                    "extension",
                    "url",
                    "coding",
                    "code",
                    "value",
                    "start",
                    "resourceType",
                    "id",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_NAMES = [
    "contained", "meta", "name", "contact", "extension", "_birthDate", "birthDate", "link",
    "telecom",
    "entry", "type", "item", "subject", "component", "valuePeriod", "text", "modifierExtension",
]  # fmt: skip
_STRICT = profile(
    "strict",
    "Patient",
    element("Patient.name.family", min=1, maxLength=3),
    sliced("Patient.telecom", "value", "use", "closed"),
    element("Patient.telecom:home.use", min=1, fixedCode="home"),
    element("Patient.contact.name", min=1),
    element("Patient.link.other.identifier", min=1),
)
_CHECK = validator(_STRICT)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["Patient", "Bundle", "Observation", "Questionnaire"]),
    st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=5),
)
def test_anything_gets_a_report(name: str, elements: Json) -> None:
    report = _CHECK.validate({"resourceType": name, **elements}, [_STRICT["url"]])
    assert len(report.findings) <= 200


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_structure_definition_is_used_or_refused(data: st.DataObject) -> None:
    faulty = copy.deepcopy(_STRICT)
    faulty["url"] = HERE + "faulty"
    elements = faulty["differential"]["element"]
    changed = data.draw(st.sampled_from(elements))
    key = data.draw(
        st.sampled_from(["path", "id", "min", "max", "type", "slicing", "binding", "constraint"])
    )
    changed[key] = data.draw(_JSON)
    resource = patient(name=[{"family": "long name"}], telecom=[{"system": "phone", "value": "1"}])
    report = validator(faulty).validate(resource, [faulty["url"]])
    assert report.findings


def test_writes_are_held_to_invariants_without_terminology(invariants: Invariants) -> None:
    period = {"start": "2024-02-02", "end": "2024-02-01"}
    resource = patient(name=[{"text": "x", "period": period}], contact=[{"gender": "male"}])
    report = invariants.check(resource)
    assert {(each.rule, each.expression) for each in report.findings} == {
        ("per-1", "Patient.name[0].period"),
        ("pat-1", "Patient.contact[0]"),
    }
    assert not report.questions
    media = {"resourceType": "Media", "status": "completed", "content": {"contentType": "no type"}}
    assert broken(invariants.check(media)) == [("binding", "Media.content.contentType")]


@pytest.mark.parametrize("_round", range(5))
def test_first_use_by_many_threads_is_the_same_for_all(_round: int) -> None:
    inner = {"linkId": "2", "type": "string"}
    resource = {
        "resourceType": "Questionnaire",
        "status": "draft",
        "item": [{"linkId": "1", "type": "group", "item": [inner]}],
    }
    demanded = profile("q", "Questionnaire", element("Questionnaire.item.text", min=1))
    check = validator(demanded)
    with ThreadPoolExecutor(8) as pool:
        reports = pool.map(lambda _: check.validate(resource, [demanded["url"]]), range(16))
    places = ["Questionnaire.item[0].text", "Questionnaire.item[0].item[0].text"]
    assert [broken(each) for each in reports] == [[("min", place) for place in places]] * 16
