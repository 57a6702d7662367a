from decimal import Decimal
from typing import Any

import pytest

from fhir_server import fhirpath
from tests.fhirpath.samples import OBSERVATION


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("4.0000 'g' = 4000.0 'mg'", [True]),
        ("4 'g' ~ 4040 'mg'", [True]),
        ("4 'g' = 4 'm'", [False]),
        ("4 'g' < 4 'm'", []),
        ("1 '[in_i]' = 2.54 'cm'", [True]),
        ("37 'Cel' = 98.6 '[degF]'", [True]),
        ("1 'mm[Hg]' > 133 'Pa'", [True]),
        ("5 '[pH]' = 5 '[pH]'", [True]),
        ("5 '[pH]' < 6 'mol/l'", []),
        ("5 '[pH]' < 6 '[pH]'", [True]),
        ("5 'dB' = 0.5 'B'", [True]),
        ("1 '[iU]' = 1 '[arb\\'U]'", [False]),
        ("120 'mm[Hg]' = 15.99864 'kPa'", [True]),
        ("7 days = 1 week and 7 days = 1 'wk'", [True]),
        ("1 year = 12 months", [True]),
        ("1 year = 1 'a'", []),
        ("1 year ~ 1 'a'", [True]),
        ("1 year > 1 'd'", []),
        ("1 year = 1 'kg'", [False]),
        ("2.0 'cm' * 2.0 'm' = 0.040 'm2'", [True]),
        ("4.0 'g' / 2.0 'm' = 2 'g/m'", [True]),
        ("1 'g' + 1 'mg' = 1001 'mg'", [True]),
        ("(1 'm' / 1 'm').toString()", ["1 '1'"]),
        ("1 'm' / 0 'm'", []),
        ("3 'mg' * 2 = 6 'mg'", [True]),
        ("(1 'g' | 1000 'mg' | 1 'm').count()", [2]),
        ("(-5.5 'mg').abs().toString()", ["5.5 'mg'"]),
    ],
)
def test_quantities_are_compared_and_calculated_exactly(source: str, expected: list[Any]) -> None:
    assert fhirpath.compile(source).evaluate(None) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("value = 185 '[lb_av]'", [True]),
        ("value > 83 'kg' and value < 84 'kg'", [True]),
        ("value !~ 185 'kg'", [True]),
        ("(value * 2).toString()", ["370.0 '[lb_av]'"]),
    ],
)
def test_quantities_of_resources_are_quantities(source: str, expected: list[Any]) -> None:
    assert fhirpath.compile(source).evaluate(OBSERVATION) == expected


def test_a_quantity_with_a_comparator_is_no_number() -> None:
    vague = {**OBSERVATION, "valueQuantity": {"value": 5, "comparator": "<", "unit": "mg"}}
    assert fhirpath.compile("value = 5 'mg'").evaluate(vague) == [False]


def test_quantities_beyond_the_digits_of_decimals_are_equivalent_only_to_themselves() -> None:
    huge = {**OBSERVATION, "valueQuantity": {"value": Decimal("1E+300"), "unit": "mg"}}
    assert fhirpath.compile("value ~ value").evaluate(huge) == [True]
    assert fhirpath.compile("value ~ 1 'mg'").evaluate(huge) == [False]


def test_quantities_of_different_dimensions_are_not_added() -> None:
    with pytest.raises(fhirpath.FhirPathEvaluationError, match="same dimension"):
        fhirpath.compile("1 'm' + 1 's'").evaluate(None)
