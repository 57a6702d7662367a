import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.normalize import (
    CUT,
    INDEXED_LENGTH,
    cut,
    normalize,
    normalize_for_index,
    windows,
)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Chalmers", "chalmers"),
        ("  van\tder \n Berg ", "van der berg"),
        ("Müller", "muller"),
        ("Mu\u0308ller", "muller"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Ångström", "angstrom"),
        ("ﬁne", "fine"),
        ("\uff26\uff55\uff4c\uff4c", "full"),
        ("Ελένη", "ελενη"),
        ("李", "李"),
        ("e-mail", "e-mail"),
        (" \u00a0 ", ""),
    ],
)
def test_case_accents_and_spacing_do_not_matter(text: str, normalised: str) -> None:
    assert normalize(text) == normalised


@given(st.text(max_size=80))
def test_normalising_again_changes_nothing(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


def test_no_character_needs_normalising_twice() -> None:
    once = [normalize(chr(number)) for number in range(0x110000)]
    assert [normalize(text) for text in once] == once


@given(st.text(max_size=80))
def test_upper_case_is_the_same_as_lower_case(text: str) -> None:
    assert normalize(text.upper().lower()) == normalize(text.upper())


def test_the_index_keeps_the_beginning_of_a_long_text() -> None:
    assert normalize_for_index("Ab" * 400) == "ab" * (INDEXED_LENGTH // 2)
    assert normalize_for_index("a" * 299 + " b") == "a" * 299


@given(st.integers(0, 5 * INDEXED_LENGTH), st.data())
def test_every_stretch_of_a_long_text_lies_in_one_of_its_parts(
    length: int, data: st.DataObject
) -> None:
    text = "".join(chr(ord("a") + at * 7 % 26 + at // 26) for at in range(length))
    parts = [cut(text), *windows(text)]
    start = data.draw(st.integers(0, max(0, length - 1)))
    stretch = text[start : start + INDEXED_LENGTH]
    assert any(stretch in part for part in parts)
    assert [part for part in parts if part.endswith(text[-20:])]
    assert all(len(part) <= 2 * INDEXED_LENGTH + 1 for part in parts)


def test_only_the_last_part_ends_as_the_text_does() -> None:
    text = "x" * (3 * INDEXED_LENGTH)
    assert cut(text).endswith(CUT)
    assert [part.endswith(CUT) for part in windows(text)] == [True, False]
    assert windows("x" * INDEXED_LENGTH) == []
