"""search by composite parameters and by `near` (R4 search.html#composite, location.html)."""

from typing import Any

import httpx
import pytest

from tests.answers import refusal_of
from tests.interactions.searching import (
    Resource,
    coded,
    finds,
    observation,
    put_all,
    reference,
    resource,
)

pytestmark = pytest.mark.usefixtures("every_step")

UCUM = "http://unitsofmeasure.org"
LAB = "urn:lab"


def pressure(code: str, value: int) -> dict[str, Any]:
    quantity = {"value": value, "system": UCUM, "code": "mm[Hg]"}
    return {"code": coded(f"{LAB}|{code}"), "valueQuantity": quantity}


def place(id_: str, latitude: float, longitude: float) -> Resource:
    return resource("Location", id_, position={"latitude": latitude, "longitude": longitude})


def document(id_: str, *related: tuple[str, str]) -> Resource:
    relates = [{"code": code, "target": reference(target)} for code, target in related]
    more = {"relatesTo": relates} if relates else {}
    content = [{"attachment": {"url": "urn:x"}}]
    return resource("DocumentReference", id_, status="current", content=content, **more)


RESOURCES = (
    observation(
        "bp1",
        code=coded(f"{LAB}|bp"),
        component=[pressure("sys", 120), pressure("dia", 80)],
        effectiveDateTime="2020-05-01",
    ),
    observation("bp2", code=coded(f"{LAB}|bp"), component=[pressure("sys", 160)]),
    observation(
        "glu",
        code=coded(f"{LAB}|glu", "other|g"),
        valueQuantity={"value": 5, "system": UCUM, "code": "g/L"},
        effectiveDateTime="2021",
    ),
    observation("col", code=coded(f"{LAB}|col"), valueCodeableConcept=coded("urn:c|red", "rot")),
    observation("txt", code=coded(f"{LAB}|txt"), valueString="Größe, 5$"),
    observation("day", code=coded(f"{LAB}|day"), valueDateTime="2019-06"),
    observation("sys", code=coded(f"{LAB}|sys"), valueQuantity={"value": 7}),
    document("d1", ("replaces", "DocumentReference/d2"), ("appends", "DocumentReference/d3")),
    document("d2", ("appends", "DocumentReference/d3")),
    document("d3"),
    resource(
        "Group",
        "g",
        type="person",
        actual=False,
        characteristic=[
            {"code": coded("sex"), "valueCodeableConcept": coded("m"), "exclude": False},
            {"code": coded("age"), "valueCodeableConcept": coded("old"), "exclude": False},
        ],
    ),
    resource(
        "MolecularSequence",
        "ms",
        coordinateSystem=0,
        referenceSeq={
            "chromosome": coded("1"),
            "genomeBuild": "GRCh38",
            "windowStart": 100,
            "windowEnd": 200,
        },
        variant=[{"start": 110, "end": 120}],
    ),
    place("berlin", 52.52, 13.405),
    place("potsdam", 52.3906, 13.0645),
    place("suva", -18.1416, 178.4419),
    place("apia", -13.8333, -171.7667),
    place("taveuni", -16.8, -179.99),
    place("pole", 89.99, 10),
    resource("Location", "somewhere"),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


def searches(name: str, *rows: tuple[str, str]) -> list[tuple[str, str]]:
    return [(f"{name}={value}", expected) for value, expected in rows]


COMPOSITES = [
    *searches(
        "Observation?component-code-value-quantity",
        (f"{LAB}|sys$120", "bp1"),
        ("sys$120", "bp1"),
        (f"sys$120|{UCUM}|mm[Hg]", "bp1"),
        ("sys$80", ""),
        ("dia$80", "bp1"),
        ("sys$gt100", "bp1 bp2"),
        ("sys$gt130", "bp2"),
        (f"sys$gt10|{UCUM}|kPa", "bp1 bp2"),
        (f"sys$gt20|{UCUM}|kPa", "bp2"),
        ("|sys$120", ""),
        ("urn:other|sys$120", ""),
        ("dia$80,sys$160", "bp1 bp2"),
        ("sys$gt100&component-code-value-quantity=dia$lt90", "bp1"),
        ("sys$gt100&component-code-value-quantity:missing=true", ""),
    ),
    *searches(
        "Observation?code-value-quantity",
        (f"{LAB}|glu$5", "glu"),
        (f"glu$5000|{UCUM}|mg/L", "glu"),
        (f"glu$5000|{UCUM}|g/L", ""),
        (f"glu$5000|{UCUM}|g/m3", "glu"),
        ("g$5", "glu"),
        ("sys$7", "sys"),
        ("sys$120", ""),
    ),
    *searches("Observation?combo-code-value-quantity", ("sys$gt1", "bp1 bp2 sys")),
    *searches(
        "Observation?code-value-concept",
        ("col$red", "col"),
        (f"{LAB}|col$urn:c|red", "col"),
        ("col$urn:c|rot", ""),
        ("col$|rot", "col"),
        ("txt$red", ""),
        ("txt$red,col$rot", "col"),
    ),
    *searches(
        "Observation?code-value-string",
        (r"txt$grosse\, 5\$", "txt"),
        ("txt$gro", "txt"),
        ("col$gro", ""),
        ("txt$roß", ""),
    ),
    *searches(
        "Observation?code-value-date",
        ("day$2019-06", "day"),
        ("day$2019", "day"),
        ("day$gt2019-06", ""),
        ("day$lt2019-06-15", "day"),
        ("day$ne2018", "day"),
    ),
    *searches(
        "DocumentReference?relationship",
        ("DocumentReference/d2$replaces", "d1"),
        ("d2$replaces", "d1"),
        ("d3$replaces", ""),
        ("d3$appends", "d1 d2"),
        ("d3$appends,d2$replaces", "d1 d2"),
    ),
    *searches(
        "Group?characteristic-value", ("sex$m", "g"), ("sex$old", ""), ("age$old&type=person", "g")
    ),
    *searches(
        "MolecularSequence?chromosome-window-coordinate",
        ("1$100$200", "ms"),
        ("1$ge100$le200", "ms"),
        ("1$gt100$lt200", ""),
        ("1$lt150$gt150", "ms"),
        ("2$100$200", ""),
        ("1$200$100", ""),
    ),
    *searches("MolecularSequence?chromosome-variant-coordinate", ("1$110$120", "ms")),
    ("Observation?code-value-quantity:missing=false", "glu sys"),
    ("Observation?code-value-string:missing=false", "txt"),
]
NEAR = [
    ("Location?near:missing=true", "somewhere"),
    *searches(
        "Location?near",
        ("52.52|13.405", "berlin"),
        ("52.52|13.405|5|km", "berlin"),
        ("52.52|13.405|30|km", "berlin potsdam"),
        ("52.52|13.405|30", "berlin potsdam"),
        ("52.52|13.405|30000|m", "berlin potsdam"),
        ("52.52|13.405|20|[mi_us]", "berlin potsdam"),
        ("52.52|13.405|15|[mi_us]", "berlin"),
        ("52.52|13.405|0|km", "berlin"),
        ("52.53|13.405|0|km", ""),
        ("-16.8|179.99|5|km", "taveuni"),
        ("-16.8|-179.99|300|km", "taveuni suva"),
        ("90|-170|5|km", "pole"),
        ("0|0|30000|km", "berlin potsdam suva apia taveuni pole"),
        ("52.52|13.405,-13.83|-171.76", "berlin apia"),
        ("52.52|13.405|30|km&_id=potsdam", "potsdam"),
    ),
]


@pytest.mark.parametrize(("search", "expected"), COMPOSITES + NEAR)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Observation?code-value-quantity=glu", "2 values joined by $: token$quantity"),
        ("Observation?code-value-quantity=glu$5$6", "2 values"),
        ("Observation?code-value-quantity=glu$", "2 values"),
        ("Observation?code-value-quantity=$5", "2 values"),
        ("Observation?code-value-quantity=glu$five", "'five'"),
        (f"Observation?code-value-quantity={LAB}|$5", "a system alone"),
        ("Observation?code-value-quantity=a|b|c$5", "system|code"),
        ("Observation?code-value-date=day$soon", "'soon'"),
        ("Observation?code-value-quantity:exact=a$5", ":missing"),
        ("Observation?code-value-quantity=", "values joined by $"),
        ("MolecularSequence?chromosome-window-coordinate=1$2", "3 values"),
        ("Location?near=52.52", "latitude|longitude|distance|units"),
        ("Location?near=52.52|", "latitude|longitude|distance|units"),
        ("Location?near=a|b", "latitude|longitude|distance|units"),
        ("Location?near=91|0", "within 90"),
        ("Location?near=0|181", "within 180"),
        ("Location?near=1|1|1|furlong", "'furlong'"),
        ("Location?near=1|1|-1|km", "0 or more"),
        ("Location?near=NaN|1", "latitude|longitude"),
        ("Location?near=1|1|1e999999|km", "latitude|longitude"),
        ("Location?near:exact=1|1", ":missing"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)
