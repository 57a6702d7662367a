"""Literal facts of R4, so that a wrong build of the data cannot pass."""

import socket

import pytest

from fhir_server.spec import (
    Binding,
    CompartmentDefinition,
    Constraint,
    TypeRef,
    definitions,
    load,
)

ADMINISTRATIVE_GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


def test_all_types_of_r4_are_there() -> None:
    kinds = [type_.kind for type_ in definitions().types.values()]
    assert kinds.count("resource") == 148
    assert kinds.count("primitive-type") == 20
    assert len(definitions().resource_types) == 146
    assert {"Patient", "Bundle", "Parameters", "Binary"} <= definitions().resource_types
    assert not {"Resource", "DomainResource", "vitalsigns"} & definitions().resource_types


def test_profiles_and_logical_models_are_no_types() -> None:
    assert not {"vitalsigns", "SimpleQuantity", "MoneyQuantity", "FiveWs", "MetadataResource"} & (
        definitions().types.keys()
    )


def test_backbone_element_has_its_content_in_official_order() -> None:
    contact = definitions().types["Patient"].elements["contact"]
    assert (contact.path, contact.min, contact.max) == ("Patient.contact", 0, None)
    assert contact.content == "Patient.contact"
    assert [constraint.key for constraint in contact.constraints] == ["pat-1"]
    content = definitions().types["Patient.contact"]
    assert (content.kind, content.base) == ("backbone", "BackboneElement")
    assert list(content.elements) == [
        "id", "extension", "modifierExtension", "relationship", "name", "telecom", "address",
        "gender", "organization", "period",
    ]  # fmt: skip
    assert content.elements["gender"].binding == Binding("required", ADMINISTRATIVE_GENDER)
    assert content.elements["organization"].types == (TypeRef("Reference", ("Organization",)),)


def test_inherited_elements_come_first_under_the_path_of_the_type() -> None:
    elements = definitions().types["Patient"].elements
    assert list(elements)[:9] == [
        "id", "meta", "implicitRules", "language", "text", "contained", "extension",
        "modifierExtension", "identifier",
    ]  # fmt: skip
    assert elements["text"].path == "Patient.text"
    assert elements["implicitRules"].modifier
    assert "text" not in definitions().types["Bundle"].elements


def test_choice_lists_its_types_under_the_name_without_x() -> None:
    value = definitions().types["Observation"].elements["value"]
    assert value.path == "Observation.value"
    assert value.choice
    assert [type_.code for type_ in value.types] == [
        "Quantity", "CodeableConcept", "string", "boolean", "integer", "Range", "Ratio",
        "SampledData", "time", "dateTime", "Period",
    ]  # fmt: skip
    assert len(definitions().types["Extension"].elements["value"].types) == 50


def test_content_reference_names_the_referenced_backbone() -> None:
    elements = definitions().types["Observation.component"].elements
    assert elements["referenceRange"].content == "Observation.referenceRange"
    assert elements["referenceRange"].max is None
    assert definitions().types["Questionnaire.item"].elements["item"].content == (
        "Questionnaire.item"
    )


def test_system_types_are_normalised_to_fhir_types() -> None:
    types = definitions().types
    assert types["Patient"].elements["id"].types == (TypeRef("id"),)
    assert types["HumanName"].elements["id"].types == (TypeRef("string"),)
    assert types["Extension"].elements["url"].types == (TypeRef("uri"),)
    assert types["Narrative"].elements["div"].types == (TypeRef("xhtml"),)
    for type_ in types.values():
        for element in type_.elements.values():
            assert all(each.code in types for each in element.types), element.path


def test_reference_to_anything_has_no_targets() -> None:
    types = definitions().types
    assert types["Observation"].elements["subject"].types[0].targets == (
        "Device", "Group", "Location", "Patient",
    )  # fmt: skip
    assert types["Observation"].elements["focus"].types == (TypeRef("Reference"),)
    assert types["PlanDefinition"].elements["library"].types == (
        TypeRef("canonical", ("Library",)),
    )


def test_cardinality_summary_and_constraints() -> None:
    observation = definitions().types["Observation"]
    assert (observation.elements["code"].min, observation.elements["code"].max) == (1, 1)
    assert observation.elements["status"].summary
    assert not observation.elements["note"].summary
    assert [constraint.key for constraint in observation.constraints] == [
        "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "obs-6", "obs-7",
    ]  # fmt: skip
    assert definitions().types["Period"].constraints == (
        Constraint("ele-1", "error", "hasValue() or (children().count() > id.count())"),
        Constraint(
            "per-1", "error", "start.hasValue().not() or end.hasValue().not() or (start <= end)"
        ),
    )


def test_primitives_carry_their_published_pattern() -> None:
    assert definitions().types["id"].regex == r"[A-Za-z0-9\-\.]{1,64}"
    assert definitions().types["Patient"].regex is None


def test_types_know_their_ancestors() -> None:
    assert definitions().is_a("Patient", "DomainResource")
    assert definitions().is_a("Patient", "Resource")
    assert definitions().is_a("Age", "Quantity")
    assert definitions().is_a("code", "string")
    assert not definitions().is_a("Bundle", "DomainResource")
    assert not definitions().is_a("Nothing", "Resource")


def test_codes_of_required_bindings() -> None:
    facts = definitions()
    assert facts.codes(ADMINISTRATIVE_GENDER) == frozenset({"male", "female", "other", "unknown"})
    assert facts.codes(ADMINISTRATIVE_GENDER + "|4.0.1") == facts.codes(ADMINISTRATIVE_GENDER)
    assert (
        facts.code_system_of(ADMINISTRATIVE_GENDER) == "http://hl7.org/fhir/administrative-gender"
    )
    resource_types = facts.codes("http://hl7.org/fhir/ValueSet/resource-types")
    assert resource_types is not None
    assert resource_types == facts.resource_types | {"Resource", "DomainResource"}
    all_types = facts.codes_by_system("http://hl7.org/fhir/ValueSet/all-types")
    assert all_types is not None
    assert len(all_types) == 3
    assert facts.code_system_of("http://hl7.org/fhir/ValueSet/all-types") is None


@pytest.mark.parametrize("name", ["mimetypes", "currencies", "ucum-units", "nothing-like-this"])
def test_codes_that_cannot_be_enumerated_are_none(name: str) -> None:
    assert definitions().codes(f"http://hl7.org/fhir/ValueSet/{name}") is None


def test_every_required_binding_is_enumerated_but_the_four_open_ones() -> None:
    open_sets = {
        element.binding.value_set
        for type_ in definitions().types.values()
        for element in type_.elements.values()
        if element.binding
        and element.binding.strength == "required"
        and not definitions().codes(element.binding.value_set)
    }
    assert open_sets == {
        "http://hl7.org/fhir/ValueSet/currencies",
        "http://hl7.org/fhir/ValueSet/mimetypes",
        "http://hl7.org/fhir/ValueSet/ucum-units",
        "http://loinc.org/vs/LL379-9",
    }


def test_search_parameters() -> None:
    parameters = {parameter.url: parameter for parameter in definitions().search_parameters}
    assert len(parameters) == 1397
    code = parameters["http://hl7.org/fhir/SearchParameter/clinical-code"]
    assert (code.code, code.type, len(code.base)) == ("code", "token", 14)
    assert code.expression is not None
    assert "Observation.code" in code.expression
    composite = parameters["http://hl7.org/fhir/SearchParameter/Observation-code-value-quantity"]
    assert composite.components == (
        ("http://hl7.org/fhir/SearchParameter/clinical-code", "code"),
        ("http://hl7.org/fhir/SearchParameter/Observation-value-quantity", "value.as(Quantity)"),
    )
    assert not composite.multiple_or
    assert composite.multiple_and
    subject = parameters["http://hl7.org/fhir/SearchParameter/Observation-subject"]
    assert subject.targets == ("Group", "Device", "Patient", "Location")
    date = parameters["http://hl7.org/fhir/SearchParameter/clinical-date"]
    assert date.comparators == ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")
    assert not [url for url in parameters if "/example" in url]


def test_compartments() -> None:
    compartments = definitions().compartments
    assert set(compartments) == {
        "Patient", "Encounter", "RelatedPerson", "Practitioner", "Device",
    }  # fmt: skip
    patient = compartments["Patient"]
    assert isinstance(patient, CompartmentDefinition)
    assert patient.parameters["AllergyIntolerance"] == ("patient", "recorder", "asserter")
    assert "ActivityDefinition" not in patient.parameters


def test_operations() -> None:
    operations = {operation.url: operation for operation in definitions().operations}
    of_r4 = [url for url in operations if url.startswith("http://hl7.org/fhir/")]
    assert len(of_r4) == 46
    everything = operations["http://hl7.org/fhir/OperationDefinition/Patient-everything"]
    assert (everything.code, everything.resources) == ("everything", ("Patient",))
    assert (everything.system, everything.type, everything.instance) == (False, True, True)
    assert not everything.affects_state
    assert [
        (each.name, each.use, each.min, each.max, each.type) for each in everything.parameters
    ] == [
        ("start", "in", 0, 1, "date"),
        ("end", "in", 0, 1, "date"),
        ("_since", "in", 0, 1, "instant"),
        ("_type", "in", 0, None, "code"),
        ("_count", "in", 0, 1, "integer"),
        ("return", "out", 1, 1, "Bundle"),
    ]
    lookup = operations["http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup"]
    designation = next(each for each in lookup.parameters if each.name == "designation")
    assert [part.name for part in designation.parts] == ["language", "use", "value"]


def test_definitions_load_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the definitions asked for a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    loaded = load.definitions.__wrapped__()
    assert loaded.types.keys() == definitions().types.keys()


def test_data_stay_small_and_one_entity_a_line() -> None:
    files = sorted(load.DATA.glob("*.json"))
    assert len(files) == 5
    assert sum(file.stat().st_size for file in files) < 5_000_000
    types = (load.DATA / "types.json").read_text().splitlines()
    assert len(types) == len(definitions().types) + 2
