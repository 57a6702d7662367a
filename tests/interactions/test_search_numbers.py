"""search by number and quantity (R4 search.html#number, #quantity, #prefix)."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of
from tests.interactions.searching import Resource, finds, observation, put_all, reference, resource

pytestmark = pytest.mark.usefixtures("every_step")

UCUM = "http://unitsofmeasure.org"
CURRENCY = "urn:iso:std:iso:4217"


def risk(id_: str, *predictions: dict[str, Any]) -> Resource:
    more = {"prediction": list(predictions)} if predictions else {}
    return resource("RiskAssessment", id_, status="final", subject=reference("Patient/a"), **more)


def measured(id_: str, value: float, code: str, **more: Any) -> Resource:
    quantity = {"value": value, "system": UCUM, "code": code, **more}
    return observation(id_, valueQuantity=quantity)


def invoice(id_: str, value: float, currency: str | None = None) -> Resource:
    gross = {"value": value} | ({"currency": currency} if currency else {})
    return resource("Invoice", id_, status="issued", totalGross=gross)


RESOURCES = (
    risk("half", {"probabilityDecimal": 0.50}),
    risk(
        "span",
        {"probabilityRange": {"low": {"value": 0.2, "unit": "of 1"}, "high": {"value": 0.4}}},
    ),
    risk("two", {"probabilityDecimal": 0.1}, {"probabilityDecimal": 0.9}),
    risk("none"),
    measured("glu", 5.4, "mmol/L", unit="mmol/l"),
    measured("neg", -3, "mmol/L"),
    measured("less", 5, "mmol/L", comparator="<"),
    measured("more", 10, "mmol/L", comparator=">="),
    measured("kilo", 2, "kg"),
    measured("gram", 2500, "g"),
    measured("warm", 37, "Cel"),
    observation("plain", valueQuantity={"value": 100, "unit": "g/L"}),
    observation("bare", valueQuantity={"value": 7}),
    observation("nothing", valueQuantity={"unit": "kg"}),
    invoice("euro", 99.95, "EUR"),
    invoice("dollar", 99.95, "USD"),
    invoice("coins", 99.95),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


NUMBERS = [
    ("0.5", "half"),
    ("0.50", "half"),
    ("0.500", "half"),
    ("0.49", ""),
    ("5e-1", "half"),
    ("%2B0.5", "half"),
    ("0", "span two"),
    ("0.3", ""),
    ("1", "half two"),
    ("1e0", "half two"),
    ("eq0.5", "half"),
    ("ne0.5", "span two"),
    ("ne0.9", "half span two"),
    ("gt0.5", "two"),
    ("ge0.5", "half two"),
    ("lt0.5", "span two"),
    ("le0.5", "half span two"),
    ("sa0.49", "half two"),
    ("eb0.51", "half span two"),
    ("gt0.3", "half span two"),
    ("lt0.3", "span two"),
    ("ge0.4", "half span two"),
    ("gt0.4", "half two"),
    ("le0.2", "span two"),
    ("lt0.2", "two"),
    ("sa0.3", "half two"),
    ("sa0.2", "half two"),
    ("eb0.3", "two"),
    ("eb0.4", "two"),
    ("ap0.3", "span"),
    ("ap0.52", "half"),
    ("ap0.7", ""),
    ("0.1,0.5", "half two"),
    ("gt0.4&probability=lt0.2", "two"),
    ("-1", ""),
    ("gt-1", "half span two"),
    ("lt1e10", "half span two"),
]
QUANTITIES = [
    ("5.4", "glu"),
    ("5.40", "glu"),
    ("5.41", ""),
    ("5", "glu"),
    ("7", "bare"),
    ("1e2", "plain"),
    (f"5.4|{UCUM}|mmol/L", "glu"),
    (f"5.4|{UCUM}|", "glu"),
    ("5.4||mmol/L", "glu"),
    ("5.4||mmol/l", "glu"),
    ("5.4||", "glu"),
    ("5.4|urn:other|mmol/L", ""),
    (f"5400|{UCUM}|umol/L", "glu"),
    (f"5.4|{UCUM}|mol/m3", "glu"),
    (f"5.4|{UCUM}|kg", ""),
    (f"5.4|{UCUM}|nonsense", ""),
    (f"ne5.4|{UCUM}|mmol/L", "neg less more"),
    (f"gt5|{UCUM}|mmol/L", "glu more"),
    (f"gt5.4|{UCUM}|mmol/L", "more"),
    (f"ge5.4|{UCUM}|mmol/L", "glu more"),
    (f"ge10|{UCUM}|mmol/L", "more"),
    (f"lt5|{UCUM}|mmol/L", "neg less"),
    (f"lt-3|{UCUM}|mmol/L", "less"),
    (f"le-3|{UCUM}|mmol/L", "neg less"),
    (f"sa10|{UCUM}|mmol/L", ""),
    (f"sa9|{UCUM}|mmol/L", "more"),
    (f"eb5|{UCUM}|mmol/L", "neg less"),
    (f"eb4.9|{UCUM}|mmol/L", "neg"),
    (f"ap12|{UCUM}|mmol/L", "more"),
    (f"ap-3|{UCUM}|mmol/L", "neg less"),
    ("-3", "neg"),
    ("lt-2.5", "neg less"),
    ("gt10", "more gram warm plain"),
    (f"2|{UCUM}|kg", "kilo"),
    (f"2000|{UCUM}|g", "kilo"),
    (f"2.5|{UCUM}|kg", "gram"),
    (f"2500000|{UCUM}|mg", "gram"),
    (f"ge2|{UCUM}|kg", "kilo gram"),
    (f"gt2|{UCUM}|kg", "gram"),
    (f"lt2500|{UCUM}|g", "kilo"),
    (f"ne2|{UCUM}|kg", "gram"),
    ("gt1||kg", "kilo"),
    ("gt1||g", "gram"),
    (f"310.15|{UCUM}|K", "warm"),
    (f"98.6|{UCUM}|[degF]", "warm"),
    (f"gt98.6|{UCUM}|[degF]", ""),
    (f"ge98.6|{UCUM}|[degF]", "warm"),
    ("100||g/L", "plain"),
    (f"100|{UCUM}|g/L", ""),
    ("ap110", "plain more"),
    (f"2|{UCUM}|kg,5.4", "kilo glu"),
    (f"gt1|{UCUM}|kg&value-quantity=lt2.2|{UCUM}|kg", "kilo"),
]
MONEY = [
    ("99.95", "euro dollar coins"),
    (f"99.95|{CURRENCY}|EUR", "euro"),
    ("99.95||USD", "dollar"),
    (f"gt99|{CURRENCY}|", "euro dollar"),
    ("100", "euro dollar coins"),
    ("lt99.95", ""),
]
SEARCHES = [
    *((f"RiskAssessment?probability={value}", expected) for value, expected in NUMBERS),
    *((f"Observation?value-quantity={value}", expected) for value, expected in QUANTITIES),
    *((f"Invoice?totalgross={value}", expected) for value, expected in MONEY),
]


@pytest.mark.parametrize(("search", "expected"), SEARCHES)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("RiskAssessment?probability=0x1", "'0x1'"),
        ("RiskAssessment?probability=five", "'five'"),
        ("RiskAssessment?probability=gt", "''"),
        ("RiskAssessment?probability=1..2", "'1..2'"),
        ("RiskAssessment?probability=NaN", "'NaN'"),
        ("RiskAssessment?probability=Infinity", "'Infinity'"),
        ("RiskAssessment?probability=1e999", "'1e999'"),
        ("RiskAssessment?probability=" + "9" * 41, "9999"),
        ("RiskAssessment?probability=٣", "'٣'"),
        ("RiskAssessment?probability:exact=1", ":missing"),
        ("Observation?value-quantity=5.4|mmol/L", "number|system|code"),
        ("Observation?value-quantity=5.4|a|b|c", "number|system|code"),
        ("Observation?value-quantity=five", "'five'"),
        ("Observation?value-quantity=|x|y", "''"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)
