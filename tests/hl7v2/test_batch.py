"""What a frame holds: one message, several, a batch, a file of batches."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.hl7v2 import NoHeader, read_payload
from tests.hl7v2.messages import ORDER


def header(name: str, id_: int = 1, charset: str = "") -> str:
    return f"{name}|^~\\&|A|B|C|D|7||ADT^A01|{id_}|P|2.5||||||{charset}\r"


MESSAGE = header("MSH", 1) + "PID|1\r"
BATCH = header("BHS") + MESSAGE + header("MSH", 2) + "BTS|2\r"


def test_one_message_is_that() -> None:
    found = read_payload(ORDER.encode())
    assert [each.encode() for each in found.messages] == [ORDER.encode()]
    assert not found.is_batch
    assert not found.warnings


def test_messages_may_follow_each_other_without_a_batch() -> None:
    found = read_payload((MESSAGE + ORDER).encode())
    assert [each.value("MSH-10") for each in found.messages] == ["1", "42"]
    assert not found.is_batch


def test_the_messages_of_a_file_of_batches() -> None:
    found = read_payload((header("FHS") + BATCH + BATCH + "FTS|2\r").encode())
    assert [each.value("MSH-10") for each in found.messages] == ["1", "2", "1", "2"]
    assert found.file is not None
    assert found.file.value("FHS-3") == "A"
    assert [each.value("BHS-4") for each in found.batches] == ["B", "B"]
    assert found.is_batch
    assert not found.warnings


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (BATCH.replace("BTS|2", "BTS|3"), "BTS-1 says 3 messages of the batch, there are 2"),
        (header("FHS") + BATCH + "FTS|9\r", "FTS-1 says 9 batches of the file, there are 1"),
        (header("BHS") + "BTS|0\r", "the batch holds no message"),
        ("BTS|1\r" + MESSAGE, "BTS comes before any header"),
    ],
)
def test_what_is_wrong_around_messages_is_told(text: str, warning: str) -> None:
    assert warning in read_payload(text.encode()).warnings


@pytest.mark.parametrize("text", [BATCH.replace("BTS|2", "BTS"), BATCH.removesuffix("BTS|2\r")])
def test_a_count_may_be_left_out(text: str) -> None:
    assert not read_payload(text.encode()).warnings


@pytest.mark.parametrize("raw", [b"", b"\x06", b"hello\rMSH|^~\\&|", b"BTS|1\r", b"MSHX|"])
def test_what_holds_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(NoHeader):
        read_payload(raw)


def test_each_message_has_its_own_character_set() -> None:
    first = header("MSH", 1, "8859/1") + "NTE|ü\r"
    second = header("MSH", 2, "UNICODE UTF-8") + "NTE|ü\r"
    found = read_payload(first.encode("latin-1") + second.encode())
    assert [each.value("NTE-1") for each in found.messages] == ["ü", "ü"]


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [False, True])
def test_batches_are_divided_in_every_encoding(codec: str, marked: bool) -> None:
    boms = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE}
    bom = boms.get(codec, codecs.BOM_UTF32_BE) if marked else b""
    raw = bom + BATCH.encode(codec)
    found = read_payload(raw)
    assert [each.value("MSH-10") for each in found.messages] == ["1", "2"]
    assert not found.warnings


@given(st.lists(st.sampled_from([MESSAGE, ORDER, BATCH, "\r\n", "ZZZ|1\r"]), min_size=1))
def test_no_byte_of_the_messages_is_lost(parts: list[str]) -> None:
    raw = (MESSAGE + "".join(parts)).encode()
    found = read_payload(raw)
    count = 1 + sum({MESSAGE: 1, ORDER: 1, BATCH: 2}.get(part, 0) for part in parts)
    assert len(found.messages) == count
    pieces = [*found.messages, *found.batches]
    for piece in pieces:
        assert piece.encode() in raw
