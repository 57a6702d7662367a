"""Acknowledgments as the sender's version wants them (HL7 v2 2.9). Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from fhir_server.hl7v2.charsets import Decoded
from fhir_server.hl7v2.delimiters import Delimiters
from fhir_server.hl7v2.message import Message
from fhir_server.hl7v2.segment import Field, Part, Segment, field_text, written

# HL7 table 0357.
CONDITIONS = {
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    205: "Duplicate key identifier",
    206: "Application record locked",
    207: "Application internal error",
}
# What is said to whoever sent something that is no message.
UNREADABLE_VERSION = "2.5.1"
_LONGEST_VERSION = 20


class Code(StrEnum):
    """HL7 table 0008."""

    AA = "AA"
    AE = "AE"
    AR = "AR"
    CA = "CA"
    CE = "CE"
    CR = "CR"

    @property
    def is_good(self) -> bool:
        """Whether it says that all is well."""
        return self == "AA" or self == "CA"


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a message something is: as in ERR-2, what is 0 is not said."""

    segment: str
    sequence: int = 1
    field: int = 0
    repetition: int = 0
    component: int = 0
    subcomponent: int = 0

    @property
    def numbers(self) -> tuple[str, ...]:
        """The parts of ERR-2."""
        given = (self.sequence, self.field, self.repetition, self.component, self.subcomponent)
        return (self.segment, *(str(each) if each else "" for each in given))


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a message.

    condition: of table 0357. severity: `E`, `W` or `I`. text: for people.
    diagnostics: for whoever maintains the sender.
    """

    condition: int
    text: str
    severity: str = "E"
    location: Location | None = None
    diagnostics: str = ""


@dataclass(frozen=True, slots=True)
class Answering:
    """What an answer needs beside the message: its own number, and the time.

    accept, application: MSH-15 and MSH-16 of the answer, as an application acknowledgment of
        enhanced mode has them.
    """

    control_id: str
    now: datetime
    accept: str = ""
    application: str = ""


def version_of(message: Message) -> tuple[int, ...]:
    """The version in MSH-12, such as (2, 5, 1); that of `UNREADABLE_VERSION` if there is none."""
    return _numbers(message.value("MSH-12")[:_LONGEST_VERSION] or UNREADABLE_VERSION)


@lru_cache(maxsize=64)
def _numbers(version: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in version.strip().split("."):
        if not part.isascii() or not part.isdigit():
            break
        found.append(int(part[:4]))
    return tuple(found) or (2, 5, 1)


def is_answer(message: Message) -> bool:
    """Whether it answers a message itself; such a one gets no application acknowledgment."""
    return message.first("MSA") is not None or message.value("MSH-9") == "ACK"


def is_enhanced(message: Message) -> bool:
    """Whether the sender asks for enhanced mode: MSH-15 or MSH-16 has a value."""
    return bool(message.value("MSH-15") or message.value("MSH-16"))


# By what MSH-15 and MSH-16 ask for (HL7 table 0155): whether good news is told, whether bad news.
_WISHES = {"AL": (True, True), "NE": (False, False), "SU": (True, False), "ER": (False, True)}


def wants_accept(message: Message, code: Code) -> bool:
    """Whether an accept acknowledgment with this code is wanted. An unknown wish is for all."""
    if not is_enhanced(message):
        return False
    return _wants(message.value("MSH-15") or "NE", code)


def wants_application(message: Message, code: Code) -> bool:
    """Whether an application acknowledgment is wanted; in original mode always, but for answers."""
    if is_answer(message):
        return False
    if not is_enhanced(message):
        return True
    return _wants(message.value("MSH-16") or "NE", code)


def _wants(wish: str, code: Code) -> bool:
    good, bad = _WISHES.get(wish.strip().upper(), (True, True))
    return good if code.is_good else bad


def acknowledgment(
    message: Message,
    code: Code,
    answering: Answering,
    problems: Sequence[Problem] = (),
) -> Message:
    """The general acknowledgment ACK of a message, be it accept or application acknowledgment."""
    return answer_to(message, code, answering, problems, _ack_type(message))


def answer_to(
    message: Message,
    code: Code,
    answering: Answering,
    problems: Sequence[Problem],
    type_: Field,
) -> Message:
    """The start of an answer of some type: MSH, MSA, and ERR where there is something to tell.

    type_: MSH-9. It goes back to where the message came from, in its version, character set and
    delimiters. What only warns stands in ERR of a good answer as well.
    """
    version = version_of(message)
    source = message.header
    texts = {to: source.raw(from_) for to, from_ in _RETURNED}
    texts |= {7: _time(answering.now, version), 10: answering.control_id, 18: source.raw(18)}
    texts |= {15: answering.accept, 16: answering.application}
    texts[9] = field_text(type_, message.delimiters)
    texts[12] = texts[12] or UNREADABLE_VERSION
    made = _begun(message.delimiters, message.decoded, texts)
    _add_result(made, version, code, source.raw(10), problems)
    return made


def batch_of_answers(header: Message, answers: Sequence[Message], answering: Answering) -> bytes:
    """The answers to the messages of a batch as a batch.

    header: the BHS or FHS that the messages came under.
    """
    asked = header.header
    made = Segment(written("BHS", [], header.delimiters), header.delimiters)
    for to, from_ in ((3, 5), (4, 6), (5, 3), (6, 4)):
        made.put_raw(to, asked.raw(from_))
    made.put(7, answering.now.strftime("%Y%m%d%H%M%S%z"))
    made.put(11, answering.control_id)
    made.put_raw(12, asked.raw(11))
    made.trim()
    field = header.delimiters.field
    start = f"{made.text}\r".encode(header.decoded.codec, "replace")
    end = f"BTS{field}{len(answers)}\r".encode(header.decoded.codec)
    return start + b"".join(each.encode(replace=True) for each in answers) + end


def refusal(raw: bytes, answering: Answering, text: str) -> Message:
    """The answer AR to bytes that are no message, so that the sender does not wait."""
    texts = {7: _time(answering.now, (2, 5, 1)), 9: "ACK", 10: answering.control_id, 11: "P"}
    texts |= {12: UNREADABLE_VERSION, 18: "UNICODE UTF-8"}
    made = _begun(Delimiters(), Decoded("", "utf-8", "utf-8"), texts)
    problem = Problem(100, text, diagnostics=f"{len(raw)} bytes")
    _add_result(made, (2, 5, 1), Code.AR, "", [problem])
    return made


# Fields of MSH that come back, and from which: sender and receiver change places.
_RETURNED = ((3, 5), (4, 6), (5, 3), (6, 4), (11, 11), (12, 12))


def _begun(delimiters: Delimiters, decoded: Decoded, texts: Mapping[int, str]) -> Message:
    """A message with nothing but its header: fields as they stand, by their numbers."""
    # An answer has no byte order mark: it is no file.
    plain = Decoded("", decoded.codec, decoded.source, b"", decoded.named)
    last = max((number for number, text in texts.items() if text), default=2)
    fields = [texts.get(number, "") for number in range(3, last + 1)]
    text = delimiters.field.join(["MSH", delimiters.encoding_characters, *fields])
    return Message([Segment(text, delimiters, codec=decoded.codec)], delimiters, plain)


def _ack_type(message: Message) -> Field:
    """MSH-9 of an ACK: versions before 2.2 know no event, those before 2.4 no structure."""
    event = message.value("MSH-9.2")
    version = version_of(message)
    if not event or version < (2, 2):
        return "ACK"
    return ("ACK", event) if version < (2, 4) else ("ACK", event, "ACK")


def _time(now: datetime, version: tuple[int, ...]) -> str:
    return now.strftime("%Y%m%d%H%M%S%z" if version >= (2, 3) else "%Y%m%d%H%M%S")


def _add_result(
    made: Message,
    version: tuple[int, ...],
    code: Code,
    control_id: str,
    problems: Sequence[Problem],
) -> None:
    """MSA and ERR. Up to 2.4 MSA-6 has the first error, and one ERR has all their places."""
    worst = next((each for each in problems if each.severity == "E"), None)
    if worst is None and control_id:
        made.add_text(f"MSA{made.delimiters.field}{code!s}{made.delimiters.field}{control_id}")
    else:
        _add_bad_news(made, version, code, control_id, worst)
    if version < (2, 5):
        if problems:
            made.add("ERR", [[_old_location(each) for each in problems]])
        return
    for each in problems:
        place = each.location.numbers if each.location else ""
        made.add(
            "ERR",
            ["", place, _condition(each), each.severity, "", "", each.diagnostics, each.text],
        )


def _add_bad_news(
    made: Message, version: tuple[int, ...], code: Code, control_id: str, worst: Problem | None
) -> None:
    result = made.add("MSA", [code.value])
    result.put_raw(2, control_id)
    if worst is not None and version < (2, 7):
        result.put(3, worst.text)
    if worst is not None and (2, 3) <= version < (2, 5):
        result.put(6, _condition(worst))
    result.trim()


def _condition(problem: Problem) -> tuple[str, str, str]:
    return str(problem.condition), CONDITIONS[problem.condition], "HL70357"


def _old_location(problem: Problem) -> tuple[Part, ...]:
    """ERR-1 up to 2.4."""
    place = problem.location.numbers[:3] if problem.location else ("", "", "")
    return (*place, _condition(problem))
