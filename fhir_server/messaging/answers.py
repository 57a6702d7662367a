"""What senders are answered, as bytes."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime

from fhir_server.hl7v2.acknowledgment import (
    Answering,
    Code,
    Location,
    Problem,
    acknowledgment,
    refusal,
)
from fhir_server.hl7v2.charsets import decode
from fhir_server.hl7v2.message import Message, NoHeader, read
from fhir_server.mapping.scope import MappingIssue
from fhir_server.outcome import Issue

_PLACE = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?)?"
)
_SEVERITIES = {"error": "E", "fatal": "E", "warning": "W", "information": "I"}
# Conditions of table 0357 by what an OperationOutcome calls it.
_CONDITIONS = {
    "required": 101, "value": 102, "structure": 102, "code-invalid": 103, "not-found": 204,
    "duplicate": 205, "lock-error": 206, "not-supported": 200,
}  # fmt: skip
INTERNAL = 207
# Refusals that may not come again when the same is asked once more.
TRANSIENT = frozenset({"transient", "timeout", "lock-error"})


def new_control_id() -> str:
    """A control id that nobody else has; versions before 2.7 allow 20 characters."""
    return secrets.token_hex(10).upper()


def answering(now: datetime, *, application: bool = False) -> Answering:
    """For one answer. The application acknowledgement of enhanced mode asks for none itself."""
    return Answering(new_control_id(), now, accept="NE" if application else "",
                     application="NE" if application else "")  # fmt: skip


def encoded(answer: Message) -> bytes:
    """An answer as it goes out, in the character set of what it answers."""
    return answer.encode(replace=True)


def plain(
    message: Message,
    code: Code,
    now: datetime,
    problems: Sequence[Problem] = (),
    *,
    application: bool = False,
) -> bytes:
    """The general acknowledgement of a message."""
    return encoded(acknowledgment(message, code, answering(now, application=application), problems))


def unreadable(raw: bytes, text: str, now: datetime) -> bytes:
    """The answer to a frame that holds no message."""
    return encoded(refusal(raw, answering(now), text))


def too_large(start: bytes, size: int, most: int, now: datetime) -> bytes:
    """The answer to a frame of which only the start is known."""
    text = f"The frame has {size} bytes; at most {most} are taken"
    try:
        message = read(decode(start))
    except NoHeader:
        return unreadable(start, text, now)
    enhanced = message.value("MSH-15") or message.value("MSH-16")
    code = Code.CR if enhanced else Code.AR
    return plain(message, code, now, [Problem(INTERNAL, text)])


def problem_of_mapping(issue: MappingIssue) -> Problem:
    """An issue of the mapping as a line of ERR."""
    condition = int(issue.code) if issue.code.isdigit() else INTERNAL
    severity = _SEVERITIES.get(issue.severity, "W")
    return Problem(condition, issue.text, severity, _location(issue.where), issue.rule)


def problem_of_refusal(issue: Issue) -> Problem:
    """An issue of a refused interaction as a line of ERR."""
    code = issue.details[1] if issue.details else issue.code
    condition = 204 if code == "ORDER_NOT_FOUND" else _CONDITIONS.get(issue.code, INTERNAL)
    severity = _SEVERITIES.get(issue.severity, "E")
    return Problem(condition, issue.diagnostics, severity, diagnostics=issue.expression)


def _location(where: str) -> Location | None:
    found = _PLACE.fullmatch(where)
    if found is None:
        return None
    numbers = (int(each) if each else 0 for each in found.groups()[1:])
    sequence, field, repetition, component, sub = numbers
    return Location(found[1], sequence or 1, field, repetition, component, sub)
