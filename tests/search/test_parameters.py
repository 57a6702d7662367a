import pytest

from fhir_server.search.emitters import maker_for
from fhir_server.search.keys import hash64
from fhir_server.search.parameters import ANY_TYPE, SearchParameter, SearchParameters
from fhir_server.spec import SearchParameterDefinition, definitions

PARAMETERS = SearchParameters()
ALL = [
    parameter
    for type_ in sorted(definitions().resource_types)
    for parameter in PARAMETERS.of(type_)
]


def test_a_parameter_knows_its_type_kind_hash_and_targets() -> None:
    subject = PARAMETERS.get("Observation", "subject")
    assert subject is not None
    assert (subject.resource_type, subject.type) == ("Observation", "reference")
    assert set(subject.targets) == {"Patient", "Group", "Device", "Location"}
    assert subject.hash == hash64("Observation|subject")


def test_unknown_parameters_and_types_have_none() -> None:
    assert PARAMETERS.get("Observation", "family") is None
    assert PARAMETERS.get("Nonsense", "_id") is None
    assert PARAMETERS.of("Nonsense") == ()


@pytest.mark.parametrize(
    "code", ["_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"]
)
def test_every_type_and_all_types_together_have_the_common_parameters(code: str) -> None:
    types = [*definitions().resource_types, ANY_TYPE]
    assert all(PARAMETERS.get(type_, code) is not None for type_ in types)


@pytest.mark.parametrize("code", ["_text", "_content", "_query", "_filter"])
def test_parameters_that_no_expression_answers_are_special(code: str) -> None:
    parameter = PARAMETERS.get("Patient", code)
    assert parameter is not None
    assert parameter.type == "special"
    assert parameter.expression() is None


def test_a_parameter_without_any_expression_is_not_offered() -> None:
    assert PARAMETERS.get("Patient", "age") is None
    assert all(p.type == "special" or p.definition.expression for p in ALL)


def test_a_definition_of_ones_own_is_added_and_never_replaces_an_official_one() -> None:
    own = SearchParameterDefinition(
        "http://example.org/sp", "own", "own", "token", ("Patient",), "Patient.gender"
    )
    clash = SearchParameterDefinition(
        "http://example.org/sp2", "name", "name", "token", ("Patient",), "Patient.gender"
    )
    parameters = SearchParameters(extra=(own, clash))
    added, kept = parameters.get("Patient", "own"), parameters.get("Patient", "name")
    assert added is not None
    assert added.expression() is not None
    assert kept is not None
    assert kept.type == "string"


def test_every_official_expression_compiles_to_values_for_each_of_its_types() -> None:
    assert len(ALL) > 2500
    empty = [
        parameter.name
        for parameter in ALL
        if (expression := parameter.expression()) is not None and not expression.branches
    ]
    assert empty == []


def _without_way_into_the_index(parameter: SearchParameter) -> set[tuple[str, str, str]]:
    expression = parameter.expression()
    return {
        (parameter.type, branch.type, parameter.name)
        for branch in (expression.branches if expression else ())
        if parameter.type not in ("composite", "special")
        and maker_for(parameter.type, branch.type, definitions()) is None
    }


def test_every_type_of_value_has_its_way_into_the_index_but_these() -> None:
    missing = set().union(*map(_without_way_into_the_index, ALL))
    assert missing == {
        ("date", "Age", "Procedure|date"),
        ("date", "Range", "Procedure|date"),
        ("date", "string", "CarePlan|activity-date"),
        ("date", "string", "Immunization|date"),
        ("date", "string", "Procedure|date"),
        ("quantity", "SampledData", "Observation|combo-value-quantity"),
        ("quantity", "SampledData", "Observation|component-value-quantity"),
        ("quantity", "SampledData", "Observation|value-quantity"),
        ("reference", "Attachment", "Consent|source-reference"),
    }
