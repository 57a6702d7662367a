from typing import Any

import pytest

from tests.search.extraction import keys_of, resource, texts_of

NAME = {"family": "Eve"}


def present(holder: dict[str, Any]) -> set[str]:
    (text,) = texts_of(holder, ":present")
    assert keys_of(holder, ":present", text) == {text}
    return set(text.split(","))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, set()),
        ({"gender": "male"}, {"gender"}),
        ({"name": [NAME]}, {"name", "phonetic", "family"}),
        ({"name": [{"use": "official"}]}, {"name", "phonetic"}),
        ({"name": []}, set()),
        ({"name": [{"given": [None], "_given": [{"id": "g"}]}]}, {"name", "phonetic"}),
        ({"telecom": [{"system": "email", "value": "a"}]}, {"telecom", "email"}),
        ({"telecom": [{"system": "other"}]}, {"telecom"}),
        ({"meta": {"tag": [{"display": "t"}], "versionId": "3"}}, {"_tag"}),
        ({"_birthDate": {"extension": [{"url": "http://e"}]}}, set()),
    ],
)
def test_a_patient_has_the_parameters_whose_expression_finds_something(
    elements: dict[str, Any], expected: set[str]
) -> None:
    assert present(resource("Patient", **elements)) == expected | {"deceased"}


@pytest.mark.parametrize(
    ("type_", "elements", "expected"),
    [
        ("Condition", {"code": {"text": "Fever"}}, {"code"}),
        ("Condition", {"code": {}}, {"code"}),
        ("Condition", {"subject": {"display": "Eve"}}, {"subject"}),
        ("Condition", {"subject": {"reference": "#p"}}, {"subject"}),
        ("Procedure", {"performedAge": {"value": 3}}, {"date"}),
        ("Substance", {"instance": [{"quantity": {"unit": "g"}}]}, {"quantity"}),
        ("RiskAssessment", {"prediction": [{"probabilityDecimal": 10**2000}]}, {"probability"}),
        ("Location", {"position": {"latitude": 1, "longitude": 2}}, {"near"}),
    ],
)
def test_a_value_that_nothing_can_search_for_is_present_all_the_same(
    type_: str, elements: dict[str, Any], expected: set[str]
) -> None:
    assert present(resource(type_, **elements)) == expected


def test_a_resource_with_no_parameter_at_all_says_so() -> None:
    assert texts_of(resource("Basic"), ":present") == [""]
