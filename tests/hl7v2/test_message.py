"""Messages are read as they are meant and written as they came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.hl7v2 import NULL, Delimiters, NoHeader, parse
from fhir_server.hl7v2.segment import Field, Segment, written
from tests.hl7v2.messages import ORDER, message


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-3", "HIS"),
        ("MSH-9.2", "O01"),
        ("MSH-10", "42"),
        ("PID-3", "123"),
        ("PID-3.4", "WARD"),
        ("PID-3.4.2", "1.2.3"),
        ("PID-3[2]", "77"),
        ("PID-3[2].5", "SS"),
        ("PID-3[3]", ""),
        ("PID-5", "Müller"),
        ("PID-99", ""),
        ("OBR-4.2", "Chest X&Ray"),
        ("OBR-6", ""),
        ("ZDS-1.4", "DICOM"),
        ("OBX-1", ""),
        ("ORC[2]-1", ""),
    ],
)
def test_a_place_names_a_leaf(place: str, value: str) -> None:
    assert message().value(place) == value


@pytest.mark.parametrize("place", ["PID", "PID-", "PID-x", "pid-3", "PID-3.1.1.1"])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        message().value(place)


def test_a_value_that_is_to_be_deleted_is_not_one_that_is_not_there() -> None:
    detail = message().first("OBR")
    assert detail is not None
    assert (detail.is_null(6), detail.is_null(5), detail.raw(6)) == (True, False, NULL)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r\n", "\n\n"])
def test_every_line_end_is_taken_and_kept(end: str) -> None:
    raw = ORDER.replace("\r", end).encode()
    found = parse(raw)
    assert [each.name for each in found.segments] == ["MSH", "PID", "ORC", "OBR", "ZDS"]
    assert found.encode() == raw
    assert found.decoded.encode(found.text) == raw
    assert not found.warnings


def test_what_goes_on_in_the_next_line_stays_in_its_segment() -> None:
    found = message(ORDER + "OBX|1|TX|a||first line\nsecond line\r\nTHE THIRD|F\rNTE|1\r")
    assert found.value("OBX-5") == "first line\nsecond line\r\nTHE THIRD"
    assert found.value("OBX-6") == "F"
    assert [each.name for each in found.segments][-2:] == ["OBX", "NTE"]
    assert found.warnings == ["a line of OBX continues on the next one"] * 2
    assert found.encode() == found.decoded.encode(found.text)


def test_what_stands_before_the_header_is_kept() -> None:
    raw = b"\r\n  " + ORDER.encode()
    found = parse(raw)
    assert found.value("MSH-10") == "42"
    assert found.decoded.encode(found.text) == raw


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n", b"MSH", b"MSHA|x", b"PID|1\r" + ORDER.encode(), b"\x00\xff", b"<a/>"]
)
def test_what_does_not_begin_with_a_header_is_no_message(raw: bytes) -> None:
    with pytest.raises(NoHeader):
        parse(raw)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("MSH|^~\\&|A", Delimiters()),
        ("MSH|^~\\&#|A", Delimiters(truncation="#")),
        ("MSH$%~\\&$A", Delimiters(field="$", component="%")),
        ("MSH|^\u02dc\\&|A", Delimiters(repetition="\u02dc")),
        ("MSH|^~&|A", Delimiters()),
        ("MSH|^|A", Delimiters()),
        ("MSH|", Delimiters()),
        ("MSH^~|\\&^A", Delimiters(field="^", component="~", repetition="|")),
        ("MSH~^|\\&~A", Delimiters(field="~", component="^", repetition="|")),
        ("MSH|^^\\&|A", Delimiters(repetition="")),
    ],
)
def test_the_header_names_the_delimiters(header: str, expected: Delimiters) -> None:
    assert Delimiters.of(header) == expected
    assert parse(header.encode()).delimiters == expected


def test_a_delimiter_that_is_lacking_divides_nothing() -> None:
    found = message("MSH|^^\\&|A\rPID|1~2^3\r")
    assert found.value("PID-1") == "1~2"


def test_a_field_is_set_where_it_is_and_beyond_the_end() -> None:
    found = message("MSH|^~\\&|A\rPID|1||x\r")
    patient = found.first("PID")
    assert patient is not None
    patient.put(3, [("a|b", "", ("1", "2&3"), ""), "c~d"])
    patient.put(6, NULL)
    assert patient.text == 'PID|1||a\\F\\b^^1&2\\T\\3~c\\R\\d|||""'
    assert found.value("PID-3") == "a|b"
    assert found.value("PID-3.3.2") == "2&3"
    assert found.value("PID-3[2]") == "c~d"
    assert found.encode() == f"MSH|^~\\&|A\r{patient.text}\r".encode()
    found.header.put(4, "B")
    assert found.header.text == "MSH|^~\\&|A|B"


@pytest.mark.parametrize(("name", "field"), [("MSH", 1), ("MSH", 2), ("PID", 0)])
def test_delimiters_and_names_are_not_set(name: str, field: int) -> None:
    found = message().first(name)
    assert found is not None
    with pytest.raises(ValueError, match="cannot be set"):
        found.put(field, "x")


def test_segments_may_be_removed_and_moved() -> None:
    found = message()
    found.segments.pop()
    assert b"ZDS" not in found.encode()
    found = message()
    found.segments[1], found.segments[2] = found.segments[2], found.segments[1]
    assert found.encode().index(b"ORC") < found.encode().index(b"PID")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (ORDER, False),
        (ORDER.replace("|2.5.1|||", "|2.5.1||7|"), True),
        (ORDER + "DSC|7\r", True),
        (ORDER + "ADD|x\r", True),
        ("BHS|^~\\&|||||||||||x|x|x\r", False),
    ],
)
def test_a_message_that_goes_on_elsewhere_is_known(text: str, fragment: bool) -> None:
    assert message(text).is_fragment == fragment


def test_a_character_that_the_character_set_lacks_is_told_or_replaced() -> None:
    found = parse(b"MSH|^~\\&|A|||||||||||||||8859/1\r")
    found.header.put(3, "\u4e2d")
    with pytest.raises(UnicodeEncodeError):
        found.encode()
    assert found.encode(replace=True).startswith(b"MSH|^~\\&|?|")


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
_LEAF = _TEXT.filter(lambda text: text != NULL)


@given(st.lists(st.sampled_from(["\r", "\n", "\r\n", "|", "^", "~", "\\", "&", "PID", "x", "é"])))
def test_what_was_not_changed_is_written_as_it_came(parts: list[str]) -> None:
    raw = ("MSH|^~\\&|" + "".join(parts)).encode()
    found = parse(raw)
    assert found.encode() == raw
    assert found.decoded.encode(found.text) == raw
    for segment in found.segments:
        shown = segment.fields
        if segment.name == "MSH":
            shown = [shown[0], *shown[2:]]
        assert found.delimiters.field.join(shown) == segment.text.lstrip(" \t")


@given(st.binary(max_size=200))
def test_whatever_follows_the_header_is_kept(rest: bytes) -> None:
    raw = b"MSH|^~\\&|" + rest
    assert parse(raw).encode() == raw
    found = parse(raw)
    assert found.decoded.encode(found.text) == raw


@given(st.lists(st.lists(st.lists(_LEAF, min_size=1, max_size=3), min_size=1, max_size=3)))
def test_what_is_written_is_read_again(repetitions: list[list[list[str]]]) -> None:
    field: Field = [tuple(tuple(subs) for subs in components) for components in repetitions]
    delimiters = Delimiters(truncation="#")
    segment = Segment(written("ZZZ", ["", field], delimiters), delimiters)
    for r, components in enumerate(repetitions, 1):
        for c, subs in enumerate(components, 1):
            for s, leaf in enumerate(subs, 1):
                assert segment.value(2, r, c, s) == leaf
