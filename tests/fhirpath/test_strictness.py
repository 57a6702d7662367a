import pytest

from fhir_server import fhirpath
from fhir_server.fhirpath import FhirPathTypeError
from fhir_server.spec import definitions


@pytest.mark.parametrize(
    ("source", "type_name", "position", "problem"),
    [
        ("name.given1", "Patient", 5, "no element 'given1' in HumanName"),
        ("Encounter.name", "Patient", 0, "Expected Patient but found Encounter"),
        ("valueQuantity.unit", "Observation", 0, "no element 'valueQuantity'"),
        ("(value as Period).unit", "Observation", 18, "no element 'unit' in Period"),
        ("children().skip(1)", "Patient", 11, "no certain order"),
        ("descendants()[0]", "Patient", 13, "no certain order"),
        ("iif('x', 1, 2)", "Patient", 4, "Expected a boolean but found System.String"),
        ("name.where(nonsense)", "Patient", 11, "no element 'nonsense' in HumanName"),
        ("contact.repeat(nonsense)", "Patient", 15, "no element 'nonsense'"),
        ("(name | contact).nonsense", "Patient", 17, "in HumanName or Patient.contact"),
        ("%context.nonsense", "Patient", 9, "no element 'nonsense' in Patient"),
    ],
)
def test_what_never_fits_the_type_is_refused(
    source: str, type_name: str, position: int, problem: str
) -> None:
    with pytest.raises(FhirPathTypeError) as raised:
        fhirpath.compile(source, type_name=type_name)
    assert (raised.value.position, problem in raised.value.problem) == (position, True)
    fhirpath.compile(source)


@pytest.mark.parametrize(
    ("source", "type_name"),
    [
        ("entry.resource.nonsense", "Bundle"),
        ("contained.name", "Patient"),
        ("subject.resolve().name", "Observation"),
        ("children().where(id.exists())", "Patient"),
        ("item.repeat(item).linkId", "Questionnaire"),
        ("value.ofType(Quantity).unit", "Observation"),
        ("iif(active, 1, 2)", "Patient"),
        ("%anything.nonsense", "Patient"),
    ],
)
def test_what_may_fit_is_taken(source: str, type_name: str) -> None:
    fhirpath.compile(source, type_name=type_name)


def test_all_invariants_of_r4_fit_their_types() -> None:
    refused = []
    for name, definition in definitions().types.items():
        for constraint in definition.constraints:
            try:
                fhirpath.compile(constraint.expression, type_name=name, as_filters=True)
            except FhirPathTypeError:
                refused.append((constraint.key, name))
    # ChargeItemDefinition has no name that could be checked.
    assert refused == [("cid-0", "ChargeItemDefinition")]


def test_a_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="R4 has no type 'Nonsense'"):
        fhirpath.compile("id", type_name="Nonsense")
