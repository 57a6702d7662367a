"""Bytes become text by what they say they are, and by what they are."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.hl7v2 import parse
from fhir_server.hl7v2.charsets import CODECS, decode


def header(charset: str, name: str = "Müller") -> str:
    return f"MSH|^~\\&|{name}|B|C|D|7||ADT^A01|10|P|2.5||||||{charset}\rPID|1\r"


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("UNICODE UTF-8", "utf-8", "Müller 中"),
        ("UTF-8~UNICODE", "utf-8", "Müller"),
        ("8859/1", "iso8859-1", "Müller"),
        ("8859/15", "iso8859-15", "Müller €"),
        ("8859/5", "iso8859-5", "Иванов"),
        ("GB 18030-2000", "gb18030", "王"),
        ("BIG-5", "big5", "王"),
        ("KS X 1001", "euc_kr", "김"),
        ("ISO IR87", "iso2022_jp", "山田"),
        ("ASCII", "ascii", "Mueller"),
    ],
)
def test_the_first_character_set_of_the_header_holds(charset: str, codec: str, name: str) -> None:
    raw = header(charset, name).encode(codec)
    found = parse(raw)
    assert (found.value("MSH-3"), found.decoded.source) == (name, "MSH-18")
    assert not found.warnings
    assert found.encode() == raw
    found.header.put(4, name)
    assert parse(found.encode()).value("MSH-4") == name


@pytest.mark.parametrize(
    ("raw", "codec", "source", "warning"),
    [
        (header("").encode(), "utf-8", "utf-8", ""),
        (header("").encode("cp1252"), "cp1252", "cp1252", ""),
        (header("", "\x81ü").encode("latin-1"), "latin-1", "latin-1", ""),
        (header("ASCII").encode(), "utf-8", "utf-8", "not in the character set 'ASCII'"),
        (header("UNICODE UTF-8").encode("cp1252"), "cp1252", "cp1252", "not in the character set"),
        (header("KLINGON").encode(), "utf-8", "utf-8", "'KLINGON' of MSH-18 is not known"),
        (header("UNICODE UTF-16").encode(), "utf-8", "utf-8", "not in the character set"),
    ],
)
def test_where_the_header_is_silent_or_wrong_the_bytes_decide(
    raw: bytes, codec: str, source: str, warning: str
) -> None:
    found = decode(raw)
    assert (found.codec, found.source) == (codec, source)
    assert warning in found.warning
    assert bool(found.warning) == bool(warning)
    assert parse(raw).encode() == raw


@pytest.mark.parametrize(
    ("bom", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"", "utf-32-le"),
        (b"", "utf-32-be"),
    ],
)
def test_a_byte_order_mark_or_zeros_decide_before_the_header(bom: bytes, codec: str) -> None:
    raw = bom + header("8859/1").encode(codec)
    found = parse(raw)
    assert found.value("MSH-3") == "Müller"
    assert (found.decoded.codec, found.decoded.bom) == (codec, bom)
    assert found.decoded.encode(found.text) == raw


def test_a_byte_order_mark_that_lies_is_kept() -> None:
    raw = codecs.BOM_UTF8 + header("8859/1").encode("iso8859-1")
    found = parse(raw)
    assert (found.value("MSH-3"), found.decoded.codec) == ("Müller", "iso8859-1")
    assert found.decoded.encode(found.text) == raw


@pytest.mark.parametrize("codec", sorted(set(CODECS.values())))
def test_every_character_set_of_the_table_is_known(codec: str) -> None:
    assert codecs.lookup(codec)


@given(st.binary(max_size=100))
def test_any_bytes_are_text_and_become_the_same_bytes(raw: bytes) -> None:
    found = decode(raw)
    assert found.encode(found.text) == raw
