from decimal import Decimal
from typing import Any

import pytest

from fhir_server.outcome import Invalid
from fhir_server.search import composites, keys
from fhir_server.search.composites import MOST_COMBINATIONS, Shape, shape
from fhir_server.search.keys import hash64
from fhir_server.search.parameters import Component, SearchParameters
from fhir_server.spec import SearchParameterDefinition, definitions
from tests.search.extraction import EXTRACTOR, keys_of, resource, texts_of

PARAMETERS = SearchParameters()
COMPOSITES = [
    parameter
    for type_ in sorted(definitions().resource_types)
    for parameter in PARAMETERS.of(type_)
    if parameter.type == "composite"
]


def concept(code: str, system: str = "http://s") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def rows_of(holder: dict[str, Any], table: str, code: str, *texts: str) -> list[Any]:
    parameter = keys.composite_parameter(f"{holder['resourceType']}|{code}", texts)
    return [row[1:] for row in getattr(EXTRACTOR.extract(holder), table) if row[0] == parameter]


def test_two_tokens_are_found_in_each_form_of_both() -> None:
    observation = resource("Observation", code=concept("a"), valueCodeableConcept=concept("b"))
    found = {
        f"{one}\x1e{other}"
        for one in ("*\x1fa", "http://s\x1fa")
        for other in ("*\x1fb", "http://s\x1fb")
    }
    wrong = ("*\x1fb\x1e*\x1fa", "*\x1fa\x1ehttp://s\x1f*", "*\x1fa")
    for code in ("code-value-concept", "combo-code-value-concept"):
        assert keys_of(observation, code, *found, *wrong) == found
    assert keys_of(observation, "component-code-value-concept", *found) == set()


def test_only_components_of_one_item_are_combined() -> None:
    components = [
        {"code": concept("a"), "valueCodeableConcept": concept("b")},
        {"code": concept("c"), "valueCodeableConcept": concept("d")},
    ]
    observation = resource("Observation", code=concept("o"), component=components)
    pairs = [f"*\x1f{one}\x1e*\x1f{other}" for one in "aco" for other in "bd"]
    for code in ("combo-code-value-concept", "component-code-value-concept"):
        found = keys_of(observation, code, *pairs)
        assert found == {"*\x1fa\x1e*\x1fb", "*\x1fc\x1e*\x1fd"}
    assert keys_of(observation, "code-value-concept", *pairs) == set()


def test_a_token_and_a_quantity_are_a_row_for_each_form_of_the_token() -> None:
    quantity = {"value": Decimal("6.3"), "unit": "mg"}
    observation = resource("Observation", code=concept("a"), valueQuantity=quantity)
    row = (hash64("\x1f\x1fmg"), Decimal("6.3"), Decimal("6.3"))
    for code in ("code-value-quantity", "combo-code-value-quantity"):
        for text in ("*\x1fa", "http://s\x1fa"):
            assert rows_of(observation, "numbers", code, text) == [row]
        assert rows_of(observation, "numbers", code, "\x1fa") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueDateTime": "1970-01-01"}, [(0, 86_400_000_000)]),
        ({"valuePeriod": {"start": "1970-01-01", "end": "1970-01-02"}}, [(0, 172_800_000_000)]),
        ({"valueTime": "10:00:00"}, []),
    ],
)
def test_a_token_and_a_date_are_a_row(value: dict[str, Any], expected: list[Any]) -> None:
    observation = resource("Observation", code=concept("a"), **value)
    assert rows_of(observation, "dates", "code-value-date", "*\x1fa") == expected


def test_a_token_and_a_string_are_a_row_of_normalised_text() -> None:
    observation = resource("Observation", code=concept("a"), valueString="Ödem  Rechts")
    assert rows_of(observation, "strings", "code-value-string", "*\x1fa") == [("odem rechts",)]


def test_a_relation_stands_after_its_target_as_their_definitions_say() -> None:
    relation = {"code": "replaces", "target": {"reference": "DocumentReference/1"}}
    document = resource("DocumentReference", relatesTo=[relation])
    found = ("DocumentReference/1\x1e*\x1freplaces", "*\x1freplaces\x1eDocumentReference/1")
    assert keys_of(document, "relationship", *found) == {found[0]}


def test_two_numbers_are_one_row_from_the_first_to_the_second() -> None:
    sequence = resource(
        "MolecularSequence",
        referenceSeq={
            "chromosome": concept("1"),
            "referenceSeqId": concept("N"),
            "windowStart": 5,
            "windowEnd": 9,
        },
        variant=[{"start": 1, "end": 2}, {"start": 3, "end": 4}, {"start": 6}],
    )
    for code, text in (("chromosome", "*\x1f1"), ("referenceseqid", "*\x1fN")):
        window = rows_of(sequence, "numbers", f"{code}-window-coordinate", text)
        assert window == [(keys.NO_UNIT, Decimal(5), Decimal(9))]
        variants = rows_of(sequence, "numbers", f"{code}-variant-coordinate", text)
        assert [row[1:] for row in variants] == [
            (Decimal(1), Decimal(2)),
            (Decimal(3), Decimal(4)),
        ]


@pytest.mark.parametrize(
    ("value", "present"),
    [
        ({}, False),
        ({"valueString": "x"}, False),
        ({"valueCodeableConcept": concept("b")}, True),
        ({"valueCodeableConcept": {"text": "b"}}, True),
    ],
)
def test_a_composite_is_present_where_all_its_components_have_a_value(
    value: dict[str, Any], present: bool
) -> None:
    observation = resource("Observation", code={"text": "a"}, **value)
    (text,) = texts_of(observation, ":present")
    assert ("code-value-concept" in text.split(",")) is present


def test_a_context_is_found_by_its_kind_and_a_code_a_quantity_or_a_range() -> None:
    contexts = [
        {"code": {"code": "age"}, "valueRange": {"low": {"value": 1, "unit": "a"}}},
        {"code": {"code": "dose"}, "valueQuantity": {"value": 2}},
        {"code": {"code": "focus"}, "valueCodeableConcept": {"coding": [{"code": "x"}]}},
    ]
    library = resource("Library", useContext=contexts)
    ages = rows_of(library, "numbers", "context-type-quantity", "*\x1fage")
    assert [row[1] for row in ages] == [Decimal(1)]
    doses = rows_of(library, "numbers", "context-type-quantity", "\x1fdose")
    assert doses == [(keys.NO_UNIT, Decimal(2), Decimal(2))]
    form = "*\x1ffocus\x1e\x1fx"
    assert keys_of(library, "context-type-value", form) == {form}


def test_too_many_combinations_are_refused_by_name() -> None:
    def many(count: int) -> dict[str, Any]:
        return {"coding": [{"code": str(number)} for number in range(count)]}

    side = int(MOST_COMBINATIONS**0.5) // 2
    fits = resource("Observation", code=many(side), valueCodeableConcept=many(side))
    assert len(EXTRACTOR.extract(fits).keys) > side**2
    above = resource("Observation", code=many(side), valueCodeableConcept=many(side * 2))
    with pytest.raises(Invalid, match=r"code-value-concept.* too many ways") as refused:
        EXTRACTOR.extract(above)
    assert (refused.value.status, refused.value.issues[0].code) == (422, "too-costly")


def test_every_composite_of_the_standard_has_a_shape_and_ways_to_all_its_components() -> None:
    assert len(COMPOSITES) > 50
    for parameter in COMPOSITES:
        components = PARAMETERS.components(parameter)
        assert shape(components) is not None, parameter.name
        assert len(components) == len(parameter.definition.components), parameter.name


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["token", "reference", "uri"], Shape((0, 1, 2), (), "")),
        (["date", "token"], Shape((1,), (0,), "date")),
        (["token", "number", "number"], Shape((0,), (1, 2), "number")),
        (["number", "quantity"], None),
        (["token", "date", "date"], None),
        (["token", "composite"], None),
        (["token", "special"], None),
        ([], None),
    ],
)
def test_a_shape_is_told_from_the_kinds_of_the_components(
    kinds: list[str], expected: Shape | None
) -> None:
    parts = [
        Component(SearchParameterDefinition(f"http://{kind}", kind, kind, kind), "code")
        for kind in kinds
    ]
    assert composites.shape(parts) == expected


def test_a_composite_with_a_component_that_is_not_known_has_no_components() -> None:
    own = SearchParameterDefinition(
        "http://own",
        "own",
        "own",
        "composite",
        ("Observation",),
        "Observation",
        components=(("http://nowhere", "code"),),
    )
    parameters = SearchParameters(extra=(own,))
    parameter = parameters.get("Observation", "own")
    assert parameter is not None
    assert parameters.components(parameter) == ()
