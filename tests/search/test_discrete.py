from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.fhirpath.branches import Branch
from fhir_server.search import keys
from fhir_server.search.emitters import maker_for
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.sites import Site
from fhir_server.search.values import Instants
from fhir_server.spec import Binding, ElementDefinition, definitions
from tests.search.extraction import BASE_URL, keys_of, resource, strings_of, targets_of, texts_of

# token


@pytest.mark.parametrize("wrap", [lambda coding: coding, lambda coding: {"coding": [coding]}])
def test_a_coding_is_found_by_code_by_system_and_by_both(wrap: Any) -> None:
    coding = {"system": "http://s", "code": "c", "display": "d"}
    encounter = resource("Encounter", **{"class": coding}, type=[{"coding": [coding]}])
    for code in ("class", "type"):
        forms = ("*\x1fc", "http://s\x1fc", "http://s\x1f*", "\x1fc", "*\x1fd")
        assert keys_of(encounter, code, *forms) == set(forms[:3])


def test_a_coding_without_system_is_found_by_no_system() -> None:
    condition = resource("Condition", code={"coding": [{"code": "c"}]})
    assert keys_of(condition, "code", "*\x1fc", "\x1fc") == {"*\x1fc", "\x1fc"}


def test_every_coding_of_a_concept_counts_and_its_text_is_no_code() -> None:
    codings = [{"code": "a"}, {"system": "http://s", "code": "b"}]
    condition = resource("Condition", code={"coding": codings, "text": "t"})
    assert keys_of(condition, "code", "*\x1fa", "*\x1fb", "*\x1ft") == {"*\x1fa", "*\x1fb"}
    assert strings_of(condition, "code") == []


def test_a_code_is_found_by_the_system_its_binding_implies() -> None:
    patient = resource("Patient", gender="female")
    system = "http://hl7.org/fhir/administrative-gender"
    forms = (f"{system}\x1ffemale", "*\x1ffemale", f"{system}\x1f*", "\x1ffemale")
    assert keys_of(patient, "gender", *forms) == set(forms[:3])


def test_a_code_whose_binding_implies_no_system_is_found_by_the_code() -> None:
    document = resource("Person", telecom=[{"system": "other", "value": "x"}])
    assert keys_of(document, "telecom", "*\x1fx", "\x1fx") == {"*\x1fx", "\x1fx"}
    language = resource("DocumentReference", content=[{"attachment": {"language": "de"}}])
    assert keys_of(language, "language", "*\x1fde", "\x1fde") == {"*\x1fde", "\x1fde"}


@pytest.mark.parametrize(
    ("intent", "system"),
    [
        ("order", "http://hl7.org/fhir/request-intent"),
        ("unknown", "http://hl7.org/fhir/task-intent"),
    ],
)
def test_a_binding_to_several_systems_implies_the_one_that_has_the_code(
    intent: str, system: str
) -> None:
    task = resource("Task", intent=intent)
    other = "http://hl7.org/fhir/other"
    forms = (f"{system}\x1f{intent}", f"{other}\x1f{intent}")
    assert keys_of(task, "intent", *forms) == {forms[0]}


@pytest.mark.parametrize(("strength", "found"), [("required", True), ("preferred", False)])
def test_only_a_required_binding_implies_a_system(strength: str, found: bool) -> None:
    gender = SearchParameters().get("Patient", "gender")
    assert gender is not None
    binding = Binding(strength, "http://hl7.org/fhir/ValueSet/administrative-gender")
    branch = Branch("code", element=ElementDefinition("Patient.gender", "gender", binding=binding))
    site = Site(branch, [gender], BASE_URL, Instants(ZoneInfo("UTC")), definitions())
    maker = maker_for("token", "code", definitions())
    assert maker is not None
    entries = IndexEntries()
    maker(site)("male", entries)
    in_system = keys.token_in_system("http://hl7.org/fhir/administrative-gender", "male")
    assert (keys.key("Patient|gender", in_system) in entries.keys) is found


def test_an_identifier_is_found_by_value_by_system_and_of_a_type() -> None:
    type_ = {"coding": [{"system": "http://t", "code": "MR"}]}
    identifier = {"type": type_, "system": "http://s", "value": "446"}
    patient = resource("Patient", identifier=[identifier])
    forms = ("*\x1f446", "http://s\x1f446", "http://s\x1f*")
    assert keys_of(patient, "identifier", *forms) == set(forms)
    assert keys_of(patient, "identifier:of-type", "http://t\x1fMR\x1f446") != set()
    assert keys_of(patient, "identifier", "http://t\x1fMR\x1f446") == set()


def test_a_contact_point_is_found_by_its_value_under_its_kind() -> None:
    telecom = [{"system": "email", "value": "a@b.c"}, {"system": "phone", "value": "1"}]
    patient = resource("Patient", telecom=telecom)
    assert keys_of(patient, "email", "*\x1fa@b.c", "*\x1f1") == {"*\x1fa@b.c"}
    assert keys_of(patient, "phone", "*\x1fa@b.c", "*\x1f1") == {"*\x1f1"}
    assert keys_of(patient, "telecom", "*\x1fa@b.c", "*\x1f1") == {"*\x1fa@b.c", "*\x1f1"}


def test_a_boolean_is_found_as_true_or_false() -> None:
    forms = ("*\x1ftrue", "*\x1ffalse")
    assert keys_of(resource("Patient", active=True), "active", *forms) == {"*\x1ftrue"}
    assert keys_of(resource("Patient", active=False), "active", *forms) == {"*\x1ffalse"}
    assert keys_of(resource("Patient"), "active", *forms) == set()


def test_whether_a_patient_died_is_found_for_every_patient() -> None:
    forms = ("*\x1ftrue", "*\x1ffalse")
    assert keys_of(resource("Patient"), "deceased", *forms) == {"*\x1ffalse"}
    dead = resource("Patient", deceasedDateTime="2015-02-14")
    assert keys_of(dead, "deceased", *forms) == {"*\x1ftrue"}


def test_a_string_or_uri_under_a_token_parameter_is_found_as_it_stands() -> None:
    value_set = resource("ValueSet", version="1.0 B")
    assert keys_of(value_set, "version", "*\x1f1.0 B", "*\x1f1.0 b") == {"*\x1f1.0 B"}
    header = resource("MessageHeader", eventUri="http://e")
    assert keys_of(header, "event", "*\x1fhttp://e") != set()


_DISPLAYS = {"coding": [{"code": "c", "display": "Ein  Ödem"}, {"display": "ein odem"}]}


@pytest.mark.parametrize(
    ("holder", "code", "texts"),
    [
        (resource("Condition", code={**_DISPLAYS, "text": "T"}), "code", {"ein odem", "t"}),
        (resource("Encounter", **{"class": {"display": "Home"}}), "class", {"home"}),
        (resource("Patient", identifier=[{"type": {"text": "MRN"}}]), "identifier", {"mrn"}),
        (resource("Patient", identifier=[{"value": "MRN"}]), "identifier", set()),
        (resource("Condition", subject={"display": "Eve"}), "subject", {"eve"}),
        (resource("Condition", subject={"display": "\u0301"}), "subject", set()),
        (resource("Patient", gender="male"), "gender", set()),
    ],
)
def test_a_text_that_stands_beside_a_value_has_a_key_and_is_in_the_vocabulary(
    holder: dict[str, Any], code: str, texts: set[str]
) -> None:
    assert set(texts_of(holder, f"{code}:text")) == texts
    assert keys_of(holder, f"{code}:text", "ein odem", "t", "home", "mrn", "eve", "male") == texts


# reference


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("Patient/1", "Patient/1"),
        (f"{BASE_URL}/Patient/1", "Patient/1"),
        ("Patient/1/_history/3", "Patient/1"),
        ("https://other.org/Patient/1", "https://other.org/Patient/1"),
        ("urn:uuid:9", "urn:uuid:9"),
    ],
)
def test_a_reference_is_found_by_its_target(reference: str, text: str) -> None:
    observation = resource("Observation", subject={"reference": reference})
    assert keys_of(observation, "subject", text) == {text}


def test_a_reference_into_the_resource_itself_is_not_found() -> None:
    observation = resource("Observation", subject={"reference": "#p"})
    assert keys_of(observation, "subject", "#p", "") == set()
    assert targets_of(observation) == set()


def test_what_is_referred_to_on_this_server_is_noted_once() -> None:
    observation = resource(
        "Observation",
        subject={"reference": f"{BASE_URL}/Patient/1"},
        performer=[{"reference": "Patient/1/_history/3"}, {"reference": "Organization/2"}],
        device={"reference": "https://other.org/Device/1"},
        specimen={"reference": "urn:uuid:9"},
    )
    assert targets_of(observation) == {"Patient/1", "Organization/2"}


def test_a_reference_is_found_by_the_identifier_of_its_target() -> None:
    identifier = {"system": "http://s", "value": "v"}
    observation = resource("Observation", subject={"identifier": identifier})
    forms = ("*\x1fv", "http://s\x1fv", "http://s\x1f*")
    assert keys_of(observation, "subject:identifier", *forms) == set(forms)
    assert keys_of(observation, "subject", *forms) == set()


def test_the_patient_parameter_takes_only_references_to_patients() -> None:
    patient = resource("Observation", subject={"reference": "Patient/1"})
    device = resource("Observation", subject={"reference": "Device/1"})
    assert keys_of(patient, "patient", "Patient/1") == {"Patient/1"}
    assert keys_of(device, "patient", "Device/1") == set()
    assert keys_of(device, "subject", "Device/1") == {"Device/1"}


def test_a_canonical_reference_is_found_with_and_without_version() -> None:
    plan = resource(
        "CarePlan", instantiatesCanonical=["http://p|2", f"{BASE_URL}/PlanDefinition/1"]
    )
    forms = ("http://p|2", "http://p", "PlanDefinition/1")
    assert keys_of(plan, "instantiates-canonical", *forms) == set(forms)
    assert targets_of(plan) == {"PlanDefinition/1"}


def test_a_canonical_of_this_server_with_a_version_points_to_the_resource() -> None:
    plan = resource("CarePlan", instantiatesCanonical=[f"{BASE_URL}/PlanDefinition/1|2"])
    assert targets_of(plan) == {"PlanDefinition/1"}


def test_the_first_entry_of_a_bundle_is_found_as_composition_or_message() -> None:
    first = resource("Composition", id="c")
    document = resource("Bundle", entry=[{"resource": first}, {"resource": resource("Patient")}])
    assert keys_of(document, "composition", "Composition/c") == {"Composition/c"}
    assert keys_of(document, "message", "Composition/c") == set()


# uri


def test_a_uri_is_found_exactly() -> None:
    value_set = resource("ValueSet", url="http://example.org/V")
    forms = ("http://example.org/V", "http://example.org/v")
    assert keys_of(value_set, "url", *forms) == {forms[0]}


def test_a_uri_is_found_below_each_of_its_paths() -> None:
    value_set = resource("ValueSet", url="http://example.org/a/V")
    forms = ("http://example.org", "http://example.org/a", "http://example.org/a/V")
    wrong = ("http:", "http://example.or", "http://example.org/", "http://example.org/b")
    assert keys_of(value_set, "url:below", *forms, *wrong) == set(forms)
    assert keys_of(value_set, "url", *forms) == {forms[-1]}


def test_a_very_long_value_is_found_like_any_other() -> None:
    long = "x" * 5000
    value_set = resource("ValueSet", url=f"http://{long}/a")
    assert keys_of(value_set, "url", f"http://{long}/a") != set()
    assert keys_of(value_set, "url:below", f"http://{long}") != set()
    coding = {"coding": [{"code": long, "display": f"{' ' * 2000}{long}"}]}
    condition = resource("Condition", code=coding, subject={"display": f"{' ' * 2000}{long}"})
    assert keys_of(condition, "code", f"*\x1f{long}") != set()
    for code in ("code:text", "subject:text"):
        assert texts_of(condition, code) == [long[:300]]
