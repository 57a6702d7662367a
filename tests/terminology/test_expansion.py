"""Expansions: pages concatenate to the whole, a text filter finds words by their beginning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.terminology import Expansion
from tests.terminology.given import (
    CTX,
    NO_STORE,
    VALUES,
    Json,
    code_system,
    concept,
    listed,
    terminology,
    value_set,
)

OTHER = "http://example.org/other"
CONCEPTS: list[Json] = [
    concept("8480-6", display="Systolic blood pressure"),
    concept("8462-4", display="Diastolic blood pressure"),
    concept("H", display="Größe", designation=[{"language": "en", "value": "Body height"}]),
    concept("old", display="Pressure, old", property=[{"code": "inactive", "valueBoolean": True}]),
]


async def expansion() -> Expansion:
    renamed = listed("x", "y", system=OTHER)
    renamed["concept"][0]["display"] = "Blood group"
    engine = terminology(
        code_system(*CONCEPTS), value_set({"system": "http://example.org/system"}, renamed)
    )
    return await engine.expand(CTX, NO_STORE, VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blood", ["8480-6", "8462-4", "x"]),
        ("PRESS blo", ["8480-6", "8462-4"]),
        ("sys", ["8480-6"]),
        ("tolic", []),
        ("grosse", ["H"]),
        ("große", ["H"]),
        ("groß", ["H"]),
        ("height", ["H"]),
        ("8480-6", ["8480-6"]),
        ("  , ", ["8480-6", "8462-4", "H", "old", "x", "y"]),
    ],
)
async def test_each_word_of_a_filter_begins_a_word_of_a_text_or_code(
    text: str, expected: list[str]
) -> None:
    found = (await expansion()).where(text)
    assert [member.code for member in found.page()] == expected
    assert found.total == len(expected)


@given(st.integers(1, 7))
async def test_pages_concatenate_to_the_whole(size: int) -> None:
    whole = await expansion()
    pages = [whole.page(offset, size) for offset in range(0, whole.total, size)]
    assert [member for page in pages for member in page] == whole.page()
    assert all(len(page) == size for page in pages[:-1])


async def test_beyond_the_end_and_nothing_asked_for_there_is_nothing() -> None:
    whole = await expansion()
    assert whole.page(whole.total, 5) == []
    assert whole.page(0, 0) == []
    assert len(whole.page(1)) == whole.total - 1


async def test_what_is_known_of_the_whole_holds_for_a_part_of_it() -> None:
    whole = await expansion()
    assert whole.codes == {
        "http://example.org/system": {"8480-6", "8462-4", "H", "old"},
        OTHER: {"x", "y"},
    }
    assert whole.used == ("http://example.org/system", OTHER)
    assert [member.code for member in whole.active.where("pressure").page()] == [
        "8480-6",
        "8462-4",
    ]
    assert whole.where("pressure").total == 3
