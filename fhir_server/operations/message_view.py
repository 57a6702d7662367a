"""$hl7v2-message on a Communication: the message that it tells of, and what became of it."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.hl7v2.charsets import decode
from fhir_server.hl7v2.message import Message, NoHeader, parse
from fhir_server.interactions.bundles import raw
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.mapping.rules import MappingError
from fhir_server.mapping.shipped import shipped_mapper
from fhir_server.operations import output
from fhir_server.operations.operation import Operation
from fhir_server.operations.output import Part, group, value
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Issue, NotFound, operation_outcome
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import messages, outgoing
from fhir_server.storage.messages import Held
from fhir_server.storage.outgoing import Queued

_MOST_FIELDS = 20_000
_SEVERITIES = frozenset({"error", "warning", "information"})


async def view(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The message as it came or went. Raises `NotFound` for what is, or is kept, no more."""
    async with engine.store.connection(ctx.tenant) as connection:
        seal = engine.statements(ctx).seal
        held = await messages.by_record(connection, ctx.tenant, parameters.id, seal)
        sent = None
        if held is None:
            sent = await outgoing.by_record(connection, ctx.tenant, parameters.id, seal)
    if held is not None:
        return output.parameters(list(_received(engine, held)))
    if sent is not None:
        return output.parameters(list(_sent(sent)))
    text = f"There is no HL7 v2 message of Communication/{parameters.id}, or it is kept no longer"
    raise NotFound(Issue("not-found", text))


def _received(engine: Engine, held: Held) -> Iterator[Part]:
    yield from _content(held.state, held.content)
    for name, told in (("acknowledgement", held.acknowledgement), ("answer", held.answer)):
        if told:
            yield value(name, "string", _text(told))
    yield from _mapped(engine, held)
    for each in held.produced or ():
        yield value("produced", "Reference", {"reference": each})
    issues = list(_issues(held.reason, held.issues or ()))
    if issues:
        yield {"name": "outcome", "resource": operation_outcome(issues)}


def _sent(sent: Queued) -> Iterator[Part]:
    yield from _content(sent.state, sent.content)
    if sent.acknowledgement:
        yield value("acknowledgement", "string", _text(sent.acknowledgement))
    for each in sent.about:
        yield value("produced", "Reference", {"reference": each})
    if sent.reason:
        yield {"name": "outcome", "resource": operation_outcome(list(_issues(sent.reason, ())))}


def _content(state: str, content: bytes) -> Iterator[Part]:
    yield value("state", "code", state)
    yield value("raw", "base64Binary", b64encode(content).decode())
    yield value("text", "string", _text(content))
    try:
        message = parse(content)
    except NoHeader:
        return
    yield from _segments(message)


def _segments(message: Message) -> Iterator[Part]:
    shown = 0
    for segment in message.segments:
        fields = [
            group("field", [value("place", "string", f"{segment.name}-{number}"),
                            value("value", "string", text)])
            for number, text in enumerate(segment.fields)
            if number and text.strip()
        ]  # fmt: skip
        shown += len(fields)
        if shown > _MOST_FIELDS:
            return
        yield group("segment", [value("name", "string", segment.name), *fields])


def _mapped(engine: Engine, held: Held) -> Iterator[Part]:
    try:
        message = parse(held.content)
        bundle = shipped_mapper(str(engine.where.zone))().convert(message).bundle()
    except (NoHeader, MappingError):
        return
    yield {"name": "mapped", "resource": raw(encode(bundle))}


def _text(content: bytes) -> str:
    return decode(content).text.replace("\r\n", "\r").replace("\r", "\n").replace("\0", "\ufffd")


def _issues(reason: str | None, issues: Sequence[dict[str, Any]]) -> Iterator[Issue]:
    if reason and not issues:
        yield Issue("processing", reason)
    for each in issues:
        severity = {"E": "error", "W": "warning", "I": "information"}.get(
            each.get("severity", ""), each.get("severity", "")
        )
        severity = severity if severity in _SEVERITIES else "warning"
        parts = (each.get("where"), each.get("text"), each.get("rule"))
        yield Issue("processing", ": ".join(filter(None, parts)), severity=severity)


VIEW_MESSAGE = Operation(
    "Communication-hl7v2-message", view, "Read an HL7 v2 message", touches=("*",), base=OWN_BASE
)
