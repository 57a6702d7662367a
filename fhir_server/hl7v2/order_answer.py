"""Answers to orders, for senders that want more than an ACK: ORR, ORL, ORG, ORI (HL7 v2 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.hl7v2.acknowledgment import (
    Answering,
    Code,
    Problem,
    acknowledgment,
    answer_to,
    version_of,
)
from fhir_server.hl7v2.message import Message
from fhir_server.hl7v2.segment import Field, Segment

# By type and event of the order.
ANSWERS = {
    ("ORM", "O01"): ("ORR", "O02"),
    ("OMG", "O19"): ("ORG", "O20"),
    ("OML", "O21"): ("ORL", "O22"),
    ("OMI", "O23"): ("ORI", "O24"),
    ("OML", "O33"): ("ORL", "O34"),
    ("OML", "O35"): ("ORL", "O36"),
}

# HL7 table 0119: what a filler answers to an order control, when it did what was asked and when
# it could not.
REPLIES = {
    "NW": ("OK", "UA"),
    "SN": ("NA", "UA"),
    "CA": ("CR", "UC"),
    "DC": ("DR", "UD"),
    "HD": ("HR", "UH"),
    "RL": ("OR", "UR"),
    "XO": ("XR", "UX"),
    "RP": ("RQ", "UM"),
    "SS": ("SR", "UA"),
}
_REASON_SINCE = (2, 3)


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """What came of one order of a message.

    order: its ORC. control: ORC-1 of the answer. detail: the segment that says what was ordered,
        to be given back.
    filler: the number of the order here, where the answer gives it one. status: ORC-5.
    reason: why it was not done.
    """

    order: Segment
    control: str
    detail: Segment | None = None
    filler: Field = ""
    status: str = ""
    reason: str = ""


def reply(control: str, *, done: bool) -> str:
    """The order control that answers another one."""
    good, bad = REPLIES.get(control, ("OK", "UA"))
    return good if done else bad


def order_answer(
    message: Message,
    code: Code,
    answering: Answering,
    orders: Sequence[OrderAnswer],
    problems: Sequence[Problem] = (),
) -> Message:
    """The answer of a type of its own, with the orders; an ACK to what has no such type."""
    asked = (message.value("MSH-9.1"), message.value("MSH-9.2"))
    if asked not in ANSWERS:
        return acknowledgment(message, code, answering, problems)
    type_, event = ANSWERS[asked]
    version = version_of(message)
    full: Field = (type_, event) if version < (2, 4) else (type_, event, f"{type_}_{event}")
    made = answer_to(message, code, answering, problems, full)
    patient = message.first("PID")
    if patient is not None and orders:
        made.repeat(patient)
    for each in orders:
        _add_order(made, each, version)
    return made


def _add_order(made: Message, answer: OrderAnswer, version: tuple[int, ...]) -> None:
    segment = made.add("ORC", [answer.control])
    segment.put_raw(2, answer.order.raw(2))
    segment.put_raw(3, answer.order.raw(3))
    if answer.filler:
        segment.put(3, answer.filler)
    segment.put_raw(4, answer.order.raw(4))
    if answer.status:
        segment.put(5, answer.status)
    if answer.reason and version >= _REASON_SINCE:
        segment.put(16, ("", answer.reason))
    segment.trim()
    if answer.detail is not None:
        made.repeat(answer.detail)
