"""Literal messages, and ways to write them."""

from datetime import UTC, datetime

from fhir_server.hl7v2 import Message, parse
from fhir_server.hl7v2.acknowledgment import Answering

ORDER = (
    "MSH|^~\\&|HIS|WARD|RIS|XRAY|202611210800||ORM^O01^ORM_O01|42|P|2.5.1|||AL|NE||UNICODE UTF-8\r"
    "PID|1||123^^^WARD&1.2.3&ISO^MR~77^^^CITY^SS||Müller^Jörg^^^Dr.||19500101|M\r"
    "ORC|NW|P1^HIS|||A\r"
    'OBR|1|P1^HIS||71020^Chest X\\T\\Ray^C4||""|20261121\r'
    "ZDS|1.2.3.4^HIS^Application^DICOM\r"
)
ANSWERING = Answering("R1", datetime(2026, 11, 21, 8, 0, 5, tzinfo=UTC))


def message(text: str = ORDER) -> Message:
    return parse(text.encode())


def of_version(version: str, text: str = ORDER) -> Message:
    return message(text.replace("|2.5.1|", f"|{version}|"))


def lines(answer: Message) -> list[str]:
    """The segments of an answer as they are sent."""
    text = answer.encode().decode()
    assert text.endswith("\r")
    assert "\n" not in text
    return text.removesuffix("\r").split("\r")
