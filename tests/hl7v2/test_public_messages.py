"""Published messages are read without loss, where they are at hand."""

from pathlib import Path

import pytest

from fhir_server.hl7v2 import parse, read_payload
from fhir_server.hl7v2.acknowledgment import Code, acknowledgment, version_of
from tests.hl7v2.messages import ANSWERING

FOLDER = Path(__file__).parents[3] / "shared" / "suites" / "hl7v2"
FILES = sorted(FOLDER.rglob("*.hl7"))


def check(raw: bytes) -> None:
    """Read it, write it, touch every field, answer it."""
    payload = read_payload(raw)
    (message,) = payload.messages
    assert message.encode() == raw
    assert message.decoded.encode(message.text) == raw
    for segment in message.segments:
        for number in range(3 if segment.name == "MSH" else 1, len(segment.fields)):
            segment.put_raw(number, segment.raw(number))
    assert message.encode() == raw
    assert {len(segment.name) for segment in message.segments} == {3}
    assert version_of(message) >= (2, 1)
    answer = parse(acknowledgment(message, Code.AA, ANSWERING).encode())
    assert answer.value("MSA-2") == message.value("MSH-10")
    assert answer.value("MSH-5") == message.value("MSH-3")


@pytest.mark.parametrize("path", FILES or [None], ids=lambda path: path.stem if path else "none")
def test_published_message_is_read_without_loss(path: Path | None) -> None:
    if path is not None:
        check(path.read_bytes())
