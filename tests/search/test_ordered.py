from decimal import Decimal
from typing import Any

import pytest

from fhir_server.search import keys
from fhir_server.search.keys import hash64
from fhir_server.search.values import HIGHEST, LATEST, LOWEST
from tests.search.extraction import EXTRACTOR, dates_of, keys_of, numbers_of, resource, strings_of

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
    assert strings_of(organization, "name") == ["ab" * 150 + "\x1f"]
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


UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ({"unit": "millimol", "system": UCUM, "code": "mmol/L"}, f"{UCUM}\x1fmmol/L\x1fmillimol"),
        ({"system": UCUM, "code": "mmol/L"}, f"{UCUM}\x1fmmol/L\x1f"),
        ({"unit": "mmol"}, "\x1f\x1fmmol"),
        ({"code": "mmol"}, "\x1fmmol\x1f"),
    ],
)
def test_a_quantity_is_one_row_with_its_unit_and_the_unit_is_in_the_vocabulary(
    unit: dict[str, str], text: str
) -> None:
    observation = resource("Observation", valueQuantity={"value": Decimal("6.3"), **unit})
    row = (hash64(text), Decimal("6.3"), Decimal("6.3"))
    assert numbers_of(observation, "value-quantity") == [row]
    assert numbers_of(observation, "combo-value-quantity") == [row]
    assert numbers_of(observation, "component-value-quantity") == []
    assert EXTRACTOR.extract(observation).texts[0] == (keys.UNITS, text)


def test_a_quantity_without_any_unit_is_a_row_without_one() -> None:
    observation = resource("Observation", valueQuantity={"value": 6})
    row = (keys.NO_UNIT, Decimal(6), Decimal(6))
    assert numbers_of(observation, "value-quantity") == [row]
    assert keys.UNITS not in dict(EXTRACTOR.extract(observation).texts)


def test_money_is_a_quantity_whose_unit_is_its_currency() -> None:
    invoice = resource("Invoice", totalNet={"value": 40, "currency": "EUR"})
    unit = hash64("urn:iso:std:iso:4217\x1fEUR\x1f")
    assert numbers_of(invoice, "totalnet") == [(unit, Decimal(40), Decimal(40))]


def test_an_age_is_a_quantity_and_a_range_has_two_limits() -> None:
    age = resource("Condition", onsetAge={"value": 40, "unit": "a"})
    unit = hash64("\x1f\x1fa")
    assert numbers_of(age, "onset-age") == [(unit, Decimal(40), Decimal(40))]
    span = resource("Condition", onsetRange={"high": {"value": 50}})
    assert numbers_of(span, "onset-age") == [(keys.NO_UNIT, LOWEST, Decimal(50))]
    span = resource("Condition", onsetRange={"low": {"value": 50}})
    assert numbers_of(span, "onset-age") == [(keys.NO_UNIT, Decimal(50), HIGHEST)]


# special


def test_a_position_is_two_numbers() -> None:
    position = {"longitude": Decimal("-83.69"), "latitude": Decimal("42.25"), "altitude": 0}
    location = resource("Location", position=position)
    for code, value in (("near:latitude", "42.25"), ("near:longitude", "-83.69")):
        assert numbers_of(location, code) == [(keys.NO_UNIT, Decimal(value), Decimal(value))]
