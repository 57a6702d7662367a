"""Escape sequences mean what HL7 v2 2.7 says, and nothing is lost where they are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.hl7v2 import Delimiters
from fhir_server.hl7v2.escapes import escape, unescape

USUAL = Delimiters()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("\\P\\", "#"),
        ("a\\X0D0A\\b", "a\r\nb"),
        ("\\XC3A9\\", "é"),
        ("\\XFF\\", "ÿ"),
        ("\\X0\\", "\\X0\\"),
        ("\\XZZ\\", "\\XZZ\\"),
        ("one\\.br\\two\\.ce\\three", "one\ntwo\nthree"),
        ("a\\.sp\\b\\.sp2\\c\\.sp+1\\d", "a\nb\n\nc\nd"),
        ("a\\.sk3\\b\\.sk 2\\c\\.sk\\d", "a   b  c d"),
        ("\\.ti2\\a\\.in+4\\b\\.fi\\c\\.nf\\d", "  abcd"),
        ("\\.ti-2\\a", "a"),
        ("\\H\\loud\\N\\ again", "loud again"),
        ("\\C2842\\a\\M2442\\b\\Zxy\\c", "\\C2842\\a\\M2442\\b\\Zxy\\c"),
        ("C:\\dir\\T\\x", "C:\\dir&x"),
        ("C:\\dir", "C:\\dir"),
        ("\\", "\\"),
        ("\\\\", "\\\\"),
        ("\\\\E\\", "\\\\"),
        ("100\\% \\F", "100\\% \\F"),
        ("", ""),
    ],
)
def test_a_sequence_is_what_it_stands_for(text: str, meant: str) -> None:
    assert unescape(text, USUAL) == meant


def test_hexadecimal_bytes_are_in_the_character_set_of_the_message() -> None:
    assert unescape("\\XE9\\", USUAL, "iso8859-1") == "é"


def test_sequences_stand_for_the_delimiters_of_the_message() -> None:
    odd = Delimiters("$", "%", "*", "!", "@", "=")
    assert unescape("!F!!S!!R!!E!!T!!P!", odd) == "$%*!@="
    assert escape("$%*!@=|^", odd) == "!F!!S!!R!!E!!T!!P!|^"


def test_without_an_escape_character_delimiters_become_spaces() -> None:
    bare = Delimiters(escape="")
    assert unescape("\\F\\", bare) == "\\F\\"
    assert escape("a|b\rc\\", bare) == "a b c\\"


@given(st.text())
def test_what_is_escaped_is_meant_again_and_divides_nothing(text: str) -> None:
    for delimiters in (USUAL, Delimiters(truncation="#")):
        found = escape(text, delimiters)
        assert not set(found) & set("|^~&\r\n\x0b\x1c")
        assert unescape(found, delimiters) == text


@given(st.text(st.sampled_from("\\FSTREXHN.brspk0123456789ABCZ|^~&é")))
def test_anything_is_text(text: str) -> None:
    unescape(text, USUAL)


def test_many_lone_escape_characters_take_no_long_time() -> None:
    assert unescape("\\a" * 50_000, USUAL) == "\\a" * 50_000
