"""ORD-6: interpretation computed where the range allows, and only there."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.workflow.interpretation import codes, interpretation, interpreted

UCUM = "http://unitsofmeasure.org"
OWN = "https://fhir-server.example/r4/CodeSystem/reference-range-meaning"
HL7 = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"


def quantity(value: Any, unit: str = "mmol/L", **more: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit, **more}


def bounds(low: Any = None, high: Any = None, meaning: str = "", **more: Any) -> dict[str, Any]:
    found = {
        name: quantity(value) for name, value in (("low", low), ("high", high)) if value is not None
    }
    if meaning:
        system = OWN if meaning == "critical" else HL7
        found["type"] = {"coding": [{"system": system, "code": meaning}]}
    return found | more


def observed(value: dict[str, Any], *ranges: dict[str, Any]) -> dict[str, Any]:
    return {"valueQuantity": value, "referenceRange": list(ranges)}


NORMAL = bounds("3.5", "5.1")
CRITICAL = bounds("2.5", "6.5", "critical")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2.4", "LL"), ("2.5", "L"), ("3.4", "L"), ("3.5", "N"), ("5.1", "N"), ("5.10", "N"),
     ("5.11", "H"), ("6.5", "H"), ("6.51", "HH")],
)  # fmt: skip
def test_value_lies_below_within_or_above(value: str, expected: str) -> None:
    assert interpretation(observed(quantity(value), NORMAL, CRITICAL)) == expected
    assert interpretation(observed(quantity(value), CRITICAL, NORMAL)) == expected


@pytest.mark.parametrize(
    ("value", "comparator", "expected"),
    [("3.5", "<", "L"), ("3.5", "<=", None), ("3.4", "<=", "L"), ("4", "<", None),
     ("5.1", ">", "H"), ("5.1", ">=", None), ("5.2", ">=", "H"), ("4", ">", None),
     ("9", "<", None), ("1", ">", None)],
)  # fmt: skip
def test_comparator_tells_only_what_is_certain(
    value: str, comparator: str, expected: str | None
) -> None:
    found = observed(quantity(value, comparator=comparator), NORMAL)
    assert interpretation(found) == expected


@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [bounds()],
        [{"text": "3.5 to 5.1"}],
        [bounds("3.5", "5.1", appliesTo=[{"text": "children"}])],
        [bounds("3.5", "5.1", age={"low": {"value": 12}})],
        [bounds("3.5", "5.1", "treatment")],
        [NORMAL, NORMAL],
        [{"low": quantity("3.5", "mg/dL")}],
        [{"low": {"unit": "mmol/L"}}],
    ],
)
def test_range_that_may_not_be_meant_tells_nothing(ranges: list[dict[str, Any]]) -> None:
    assert interpretation(observed(quantity("1"), *ranges)) is None


def test_bound_without_a_unit_has_that_of_the_value() -> None:
    assert interpretation(observed(quantity("1"), {"low": {"value": 3}})) == "L"
    assert interpretation(observed({"value": 1, "unit": "x"}, {"low": {"value": 3}})) == "L"
    assert interpretation(observed({"value": 1}, {"low": quantity("3")})) is None


def test_one_sided_range_tells_both_ways() -> None:
    assert interpretation(observed(quantity("6"), bounds(high="5"))) == "H"
    assert interpretation(observed(quantity("5"), bounds(high="5"))) == "N"


def test_what_the_laboratory_says_stays() -> None:
    said = {"interpretation": [{"text": "as expected in pregnancy"}]}
    found = observed(quantity("9"), NORMAL) | said
    assert interpreted(found) == found


def test_components_are_interpreted_too() -> None:
    found = interpreted({"component": [observed(quantity("9"), NORMAL)]})
    assert list(codes(found)) == ["H"]
    assert "interpretation" not in found


@given(st.decimals(0, 100, places=2), st.decimals(0, 100, places=2), st.decimals(0, 100, places=2))
def test_value_is_normal_exactly_within_its_range(a: Decimal, b: Decimal, value: Decimal) -> None:
    low, high = sorted((a, b))
    found = interpretation(observed(quantity(value), bounds(low, high)))
    assert found == ("L" if value < low else "H" if value > high else "N")
