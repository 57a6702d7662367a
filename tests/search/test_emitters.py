from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.fhirpath.branches import Branch
from fhir_server.search import keys
from fhir_server.search.emitters import Site, maker_for
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.values import HIGHEST, LATEST, LOWEST, Instants
from fhir_server.spec import Binding, ElementDefinition, definitions
from tests.search.extraction import BASE_URL, dates_of, keys_of, numbers_of, strings_of

UCUM = "http://unitsofmeasure.org"


def resource(type_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_, **elements}


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


def test_every_coding_of_a_concept_counts_and_its_text_does_not() -> None:
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


# string


def test_every_part_and_the_text_of_a_name_are_found() -> None:
    name = {
        "text": "Dr. Ané Žuk",
        "family": "Žuk",
        "given": ["Ané", None],
        "prefix": ["Dr."],
        "suffix": ["PhD"],
        "use": "official",
        "period": {"start": "2000"},
    }
    patient = resource("Patient", name=[name])
    expected = ["zuk", "ane", "dr.", "phd", "dr. ane zuk"]
    assert strings_of(patient, "name") == expected
    assert strings_of(patient, "family") == ["zuk"]
    assert keys_of(patient, "family:exact", "Žuk", "zuk") == {"Žuk"}


def test_every_part_and_the_text_of_an_address_are_found() -> None:
    address = {
        "use": "home",
        "text": "T",
        "line": ["L 1", "L 2"],
        "city": "C",
        "district": "D",
        "state": "S",
        "postalCode": "P",
        "country": "X",
    }
    patient = resource("Patient", address=[address])
    assert strings_of(patient, "address") == ["l 1", "l 2", "c", "d", "s", "p", "x", "t"]
    assert strings_of(patient, "address-city") == ["c"]
    assert keys_of(patient, "address-use", "*\x1fhome") == {"*\x1fhome"}


def test_a_string_of_which_nothing_remains_is_found_exactly_only() -> None:
    organization = resource("Organization", name="\u0301")
    assert strings_of(organization, "name") == []
    assert keys_of(organization, "name:exact", "\u0301") == {"\u0301"}


def test_a_long_string_is_cut_in_the_index_and_found_exactly_in_full() -> None:
    text = "Ab" * 400
    organization = resource("Organization", name=text)
    assert strings_of(organization, "name") == ["ab" * 150]
    assert keys_of(organization, "name:exact", text) == {text}


# date


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"effectiveDateTime": "1970-01-01"}, (0, 86_400_000_000)),
        ({"effectiveInstant": "1970-01-01T00:00:01Z"}, (1_000_000, 2_000_000)),
        ({"effectivePeriod": {"start": "1970-01-01"}}, (0, LATEST)),
        ({"effectiveTiming": {"event": ["1970-01-01", "1970-01-02"]}}, (0, 172_800_000_000)),
    ],
)
def test_every_kind_of_date_is_a_range(elements: dict[str, Any], expected: Any) -> None:
    assert dates_of(resource("Observation", **elements), "date") == [expected]


# number and quantity


def test_a_number_is_itself_and_has_no_unit() -> None:
    prediction = [{"probabilityDecimal": Decimal("0.30")}]
    risk = resource("RiskAssessment", prediction=prediction)
    limits = (keys.NO_UNIT, Decimal("0.30"), Decimal("0.30"))
    assert numbers_of(risk, "probability") == [limits]


def test_a_quantity_is_found_under_each_form_of_its_unit() -> None:
    quantity = {"value": Decimal("6.3"), "unit": "millimol", "system": UCUM, "code": "mmol/L"}
    observation = resource("Observation", valueQuantity=quantity)
    low = high = Decimal("6.3")
    expected = [
        (keys.unit_in_system(UCUM, "mmol/L"), low, high),
        (keys.unit_without_system("mmol/L"), low, high),
        (keys.unit_without_system("millimol"), low, high),
    ]
    assert numbers_of(observation, "value-quantity") == expected
    assert numbers_of(observation, "combo-value-quantity") == expected
    assert numbers_of(observation, "component-value-quantity") == []


def test_money_is_found_by_its_currency() -> None:
    invoice = resource("Invoice", totalNet={"value": 40, "currency": "EUR"})
    units = [unit for unit, _, _ in numbers_of(invoice, "totalnet")]
    assert units == [
        keys.unit_in_system("urn:iso:std:iso:4217", "EUR"),
        keys.unit_without_system("EUR"),
    ]


def test_an_age_is_a_quantity_and_a_range_has_two_limits() -> None:
    age = resource("Condition", onsetAge={"value": 40, "unit": "a"})
    unit = keys.unit_without_system("a")
    assert numbers_of(age, "onset-age") == [(unit, Decimal(40), Decimal(40))]
    span = resource("Condition", onsetRange={"high": {"value": 50}})
    assert numbers_of(span, "onset-age") == [(keys.NO_UNIT, LOWEST, Decimal(50))]
    span = resource("Condition", onsetRange={"low": {"value": 50}})
    assert numbers_of(span, "onset-age") == [(keys.NO_UNIT, Decimal(50), HIGHEST)]


# extension


def test_an_extension_is_found_by_its_value() -> None:
    gene = {
        "url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
        "valueCodeableConcept": {"coding": [{"system": "http://s", "code": "BRCA1"}]},
    }
    observation = resource("Observation", extension=[gene])
    assert keys_of(observation, "gene-identifier", "http://s\x1fBRCA1") == {"http://s\x1fBRCA1"}
    variant = {
        "url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsDnaVariant",
        "valueString": "c.1A>G",
    }
    observation = resource("Observation", extension=[variant, gene])
    assert strings_of(observation, "dna-variant") == ["c.1a>g"]
