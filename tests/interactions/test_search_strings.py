"""search by string (R4 search.html#string)."""

import httpx
import pytest

from tests.answers import refusal_of
from tests.interactions.searching import finds, patient, put_all

pytestmark = pytest.mark.usefixtures("every_step")

LONG = "long " * 70
ENDLESS = " ".join(str(number) for number in range(1000, 1400))

RESOURCES = (
    patient("a", name=[{"family": "Müller-Lüdenscheidt", "given": ["Änne", "Maria"]}]),
    patient("b", name=[{"family": "MULLER", "given": ["Bob"]}]),
    patient("c", name=[{"family": "100%_sure\\", "given": ["O'Neil, Jr|III$"]}]),
    patient("d", name=[{"text": "Dr.  Straße\tof Ålesund", "prefix": ["Dr."]}]),
    patient("e", name=[{"family": "[a-z]*.+", "given": ["李 小龙"]}, {"family": "' or 1=1 --"}]),
    patient("f", address=[{"line": ["1 Main St"], "city": "Berlin", "country": "DE"}]),
    patient("g", address=[{"city": "berlin-Mitte", "text": LONG}], name=[{"family": "(x"}]),
    patient("h", name=[{"text": ENDLESS}]),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


STARTS = [
    ("Patient?family=müller", "a b"),
    ("Patient?family=Muller", "a b"),
    ("Patient?family=muller-lud", "a"),
    ("Patient?family=ludenscheidt", ""),
    ("Patient?name=anne", "a"),
    ("Patient?name=maria,bob", "a b"),
    ("Patient?name=maria&name=bob", ""),
    ("Patient?name=maria&name=mull", "a"),
    ("Patient?name=dr. strasse of a", "d"),
    ("Patient?name=DR.%20%20STRASSE", "d"),
    ("Patient?name=of", ""),
    ("Patient?name=李", "e"),
    ("Patient?name=小", ""),
    ("Patient?address=berlin", "f g"),
    ("Patient?address=de", "f"),
    ("Patient?address-city=Berlin-m", "g"),
    ("Patient?address-country=berlin", ""),
    (f"Patient?address={LONG[:299]}", "g"),
    (r"Patient?given=o'neil\, jr\|iii\$", "c"),
    ("Patient?given=o'neil, jr", "c"),
    ("Patient?name=%25", ""),
    ("Patient?name=_", ""),
    ("Patient?name=.*", ""),
    ("Patient?name=[a-z", "e"),
    ("Patient?name=(", "g"),
    ("Patient?name=' or 1=1 --", "e"),
    ("Patient?name=' or 1=1", "e"),
    ("Patient?name='; drop table resource; --", ""),
]
CONTAINS = [
    ("Patient?name:contains=1000 1001", "h"),
    ("Patient?name:contains=1058 1059 1060 1061 1062", "h"),
    ("Patient?name:contains=1399", "h"),
    (f"Patient?name:contains={ENDLESS[1200:1500]}", "h"),
    (f"Patient?name:contains={ENDLESS[-300:]}", "h"),
    ("Patient?name:contains=1399 1000", ""),
    ('Patient?_filter=name ew "1399"', "h"),
    ('Patient?_filter=name ew "1059"', ""),
    (f'Patient?_filter=name ew "{ENDLESS[:300][-9:]}"', ""),
    ('Patient?_filter=name co "1200 1201"', "h"),
    (f'Patient?_filter=name eq "{ENDLESS[:300].strip()}"', ""),
    (f'Patient?_filter=name sw "{ENDLESS[:300].strip()}"', "h"),
    ("Patient?family:contains=LÜDEN", "a"),
    ("Patient?family:contains=muller", "a b"),
    ("Patient?name:contains=小龙", "e"),
    ("Patient?name:contains=alesund", "d"),
    ("Patient?family:contains=0%25_", "c"),
    ("Patient?family:contains=0_", ""),
    ("Patient?family:contains=%25", "c"),
    ("Patient?family:contains=_", "c"),
    ("Patient?family:contains=%25%25", ""),
    (r"Patient?family:contains=e\\", "c"),
    (r"Patient?family:contains=\\", "c"),
    ("Patient?family:contains=.", "e"),
    ("Patient?family:contains=]*.", "e"),
    ("Patient?family:contains=1=1,x", "e g"),
    ("Patient?address:contains=erlin", "f g"),
]
EXACT = [
    ("Patient?family:exact=MULLER", "b"),
    ("Patient?family:exact=Muller", ""),
    ("Patient?family:exact=Müller-Lüdenscheidt", "a"),
    ("Patient?family:exact=Müller", ""),
    ("Patient?family:exact=Mu%CC%88ller-Lu%CC%88denscheidt", ""),
    (r"Patient?family:exact=100%25_sure\\", "c"),
    (r"Patient?given:exact=O'Neil\, Jr\|III\$", "c"),
    ("Patient?name:exact=Dr.  Straße%09of Ålesund", "d"),
    ("Patient?name:exact=Dr. Straße of Ålesund", ""),
    ("Patient?name:exact=MULLER,Bob", "b"),
    (f"Patient?address:exact={LONG}", "g"),
]


@pytest.mark.parametrize(("search", "expected"), STARTS + CONTAINS + EXACT)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Patient?name=", "empty value"),
        ("Patient?name=a,,b", "empty value"),
        ("Patient?name=%20", "nothing to compare"),
        ("Patient?name=%CC%88", "nothing to compare"),
        ("Patient?name=" + "x" * 301, "300"),
        ("Patient?name:contains=" + "x" * 301, "300"),
        ("Patient?name:near=x", ":contains, :exact"),
        ("Patient?name:text=x", ":contains, :exact"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)
