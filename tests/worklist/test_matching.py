"""Attribute matching of PS3.4 C.2.2.2 on literal keys, and its properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.worklist.matching import matches

ROWS = [
    ("SH", "", "ACC-1", True),
    ("SH", "*", "", True),
    ("SH", "ACC-1", "ACC-1", True),
    ("SH", "ACC-1 ", "ACC-1", True),
    ("SH", "acc-1", "ACC-1", False),
    ("SH", "ACC-?", "ACC-1", True),
    ("SH", "ACC-??", "ACC-1", False),
    ("SH", "*1", "ACC-1", True),
    ("SH", "A.C-1", "ACC-1", False),
    ("PN", "muster", "Muster", True),
    ("PN", "MUSTER^erika", "Müster^Erika^^", True),
    ("PN", "muster", "Muster^Erika", False),
    ("PN", "山田*", "Yamada^Tarou=山田^太郎", True),
    ("DA", "20261121", "20261121", True),
    ("DA", "20261120-20261121", "20261121", True),
    ("DA", "-20261120", "20261121", False),
    ("DA", "20261121-", "20261121", True),
    ("DA", "20261121", "", False),
    ("TM", "0800-0859", "085930", True),
    ("TM", "08", "083000", True),
    ("TM", "080000.000-090000", "090001", False),
    ("UI", "1.2\\1.3", "1.3", True),
    ("UI", "1.2", "1.23", False),
]


@pytest.mark.parametrize(("vr", "key", "value", "expected"), ROWS)
def test_a_key_matches_what_the_standard_says(
    vr: str, key: str, value: str, expected: bool
) -> None:
    assert matches(vr, key, value) is expected


@pytest.mark.parametrize(
    ("vr", "key"), [("DA", "2026"), ("DA", "2026-11-21"), ("TM", "8"), ("DA", "-"), ("TM", "ab")]
)
def test_what_is_no_date_or_time_is_refused(vr: str, key: str) -> None:
    with pytest.raises(ValueError, match=vr):
        matches(vr, key, "20261121")


TEXTS = st.text(st.characters(blacklist_characters="*?\\", blacklist_categories=["Cs", "Cc"]))


@given(TEXTS, TEXTS)
def test_without_wildcards_only_the_same_text_matches(key: str, value: str) -> None:
    if key.strip():
        assert matches("LO", key, value) is (key.strip() == value)


@given(TEXTS, TEXTS, TEXTS)
def test_a_star_stands_for_any_text(first: str, middle: str, last: str) -> None:
    key = f"{first}*{last}"
    if key == key.strip():
        assert matches("LO", key, first + middle + last)
