"""Frames come out of a stream however it is cut, and what is wrong in it is told."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.hl7v2.framing import (
    COMMITTED,
    CutOff,
    Event,
    Frame,
    Framer,
    Junk,
    TooLarge,
    framed,
)

A, B = Frame(b"MSH|a"), Frame(b"MSH|b")


def events(*chunks: bytes, largest: int = 1000) -> list[Event]:
    """What comes of some chunks, and of the end of the connection."""
    framer = Framer(largest)
    return [event for chunk in chunks for event in framer.feed(chunk)] + framer.close()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (framed(b"MSH|a"), [A]),
        (framed(b"MSH|a") + framed(b"MSH|b"), [A, B]),
        (framed(b""), [Frame(b"")]),
        (b"\r\n" + framed(b"MSH|a") + b"\r\n\n" + framed(b"MSH|b") + b"\n", [A, B]),
        (b"xyz" + framed(b"MSH|a"), [Junk(3), A]),
        (framed(b"MSH|a") + b"xyz", [A, Junk(3)]),
        (b"x\x1c\r" + framed(b"MSH|a"), [Junk(2), A]),
        (b"MSH|no frame\r", [Junk(12)]),
        (b"\x0bMSH|a\x1c\x0bMSH|b\x1c\r", [A, B]),
        (b"\x0bMSH|a\x1c\n\x0bMSH|b\x1c\r", [A, B]),
        (b"\x0bMSH|a\x1c", [A]),
        (b"\x0bMSH|a", [CutOff(b"MSH|a", 5)]),
        (b"\x0bMSH|a" + framed(b"MSH|b"), [CutOff(b"MSH|a", 5), B]),
        (b"\x0b\x0b" + b"MSH|b\x1c\r", [CutOff(b"", 0), B]),
        (b"\x0bMSH|\x1ca\x1c\r", [Frame(b"MSH|\x1ca")]),
        (b"\x0bMSH|a\x1c\x1c\r", [Frame(b"MSH|a\x1c")]),
        (b"\x0bMSH|a\x1c \r\x1c\r", [Frame(b"MSH|a\x1c \r")]),
        (COMMITTED, [Frame(b"\x06")]),
    ],
)
def test_frames_of_a_stream(stream: bytes, expected: list[Event]) -> None:
    assert events(stream) == expected
    assert events(*(bytes([byte]) for byte in stream)) == expected


def test_a_frame_is_told_of_as_soon_as_its_last_byte_is_there() -> None:
    framer = Framer()
    assert framer.feed(b"\x0bMSH|a") == []
    assert framer.is_inside
    assert framer.feed(b"\x1c") == []
    assert framer.is_ending
    assert framer.feed(b"\r") == [A]
    assert not framer.is_inside


def test_after_a_silence_a_frame_needs_its_last_byte_no_more() -> None:
    framer = Framer()
    assert framer.feed(b"\x0bMSH|a\x1c") == []
    assert framer.settle() == [A]
    assert framer.settle() == []
    assert framer.feed(b"\r" + framed(b"MSH|b")) == [B]


def test_a_silence_within_a_frame_ends_nothing() -> None:
    framer = Framer()
    framer.feed(b"\x0bMSH")
    assert framer.settle() == []
    assert framer.feed(b"|a\x1c\r") == [A]


@pytest.mark.parametrize("size", [11, 5000, 50_000])
def test_of_a_frame_that_is_too_large_the_start_is_kept_and_the_next_one_comes(size: int) -> None:
    payload = b"MSH|" + b"x" * (size - 4)
    expected = [TooLarge(payload[:4096], size), A]
    stream = framed(payload) + framed(b"MSH|a")
    assert events(stream, largest=10) == expected
    chunks = [stream[at : at + 7] for at in range(0, len(stream), 7)]
    assert events(*chunks, largest=10) == expected


def test_a_frame_just_large_enough_is_taken() -> None:
    assert events(framed(b"x" * 10), largest=10) == [Frame(b"x" * 10)]


def test_no_more_is_held_than_is_taken() -> None:
    framer = Framer(10_000)
    framer.feed(b"\x0b")
    for _ in range(100):
        framer.feed(b"x" * 1000)
        assert len(framer._payload) <= 10_000
    assert framer.feed(b"\x1c\r") == [TooLarge(b"x" * 4096, 100_000)]


_PAYLOAD = st.binary(max_size=30).map(lambda raw: raw.replace(b"\x0b", b"").replace(b"\x1c", b""))


@given(st.lists(_PAYLOAD, max_size=5), st.lists(st.integers(0, 200), max_size=8))
def test_how_a_stream_is_cut_makes_no_difference(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(framed, payloads))
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in pairwise(places)]
    assert events(*chunks) == [Frame(each) for each in payloads]


@given(st.binary(max_size=60), _PAYLOAD)
def test_no_noise_swallows_the_message_after_it(noise: bytes, payload: bytes) -> None:
    found = events(noise + framed(payload))
    assert found[-1] == Frame(payload)


@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"a"]), max_size=30))
def test_every_byte_is_accounted_for(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    found = events(stream)
    assert found == events(*parts)
    sizes = sum(len(each.payload) if isinstance(each, Frame) else each.size for each in found)
    assert sizes <= len(stream)
