"""$process-message (R4 messageheader-operation-process-message.html, messaging.html)."""

from collections.abc import Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.interactions.writing import instant_text
from fhir_server.operations import output
from fhir_server.operations.message_events import EVENTS, Entries, Event
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue, NotFound, Refusal, operation_outcome

# Statuses of a refusal after which the same message may be sent again.
_TRANSIENT = frozenset({409, 503})


async def process_message(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Carry out the event of a message, and answer with a message that says what came of it.

    Raises `Invalid` for what is no message at all.
    """
    parameters.refuse("response-url")
    if parameters.flag("async"):
        text = "async=true is not supported; messages are carried out at once"
        raise Invalid(Issue("not-supported", text))
    header, entries = _message(parameters.one("content"))
    try:
        event = _event(header)
        code, issues = "ok", list(await event(engine, ctx, entries))
    except Refusal as refusal:
        code = "transient-error" if refusal.status in _TRANSIENT else "fatal-error"
        issues = list(refusal.issues)
    return output.resource(_response(ctx, header, code, issues))


def _message(bundle: dict[str, Any]) -> tuple[dict[str, Any], Entries]:
    """The header of a message and the entries after it. Raises `Invalid`."""
    entries = bundle.get("entry", [])
    if bundle.get("type") != "message":
        text = f"Expected a Bundle of the type 'message', found {bundle.get('type')!r}"
        raise Invalid(Issue("invalid", text, "Bundle.type"))
    without = [at for at, entry in enumerate(entries) if "resource" not in entry]
    if without:
        text = "The entry has no resource"
        raise Invalid(Issue("required", text, f"Bundle.entry[{without[0]}]"))
    if not entries or entries[0]["resource"]["resourceType"] != "MessageHeader":
        text = "The first entry of a message is a MessageHeader"
        raise Invalid(Issue("required", text, "Bundle.entry[0]"))
    header: dict[str, Any] = entries[0]["resource"]
    if "id" not in header:
        text = "The MessageHeader has no id, by which the response could name it"
        raise Invalid(Issue("required", text, "Bundle.entry[0].resource"))
    if "response" in header:
        text = "The message is a response; this server sends no messages and expects none"
        raise Invalid(Issue("not-supported", text, "Bundle.entry[0].resource.response"))
    return header, entries[1:]


def _event(header: dict[str, Any]) -> Event:
    """What carries out the event of a message. Raises `NotFound` for one that is not known."""
    coding = header.get("eventCoding", {})
    name = (coding.get("system", ""), coding.get("code", header.get("eventUri", "")))
    event = EVENTS.get(name)
    if event is None:
        asked = "|".join(part for part in name if part)
        known = ", ".join("|".join(part for part in each if part) for each in EVENTS)
        text = f"The event {asked!r} is not known here; known: {known}"
        raise NotFound(Issue("not-supported", text, "MessageHeader.event"))
    return event


def _response(
    ctx: Context, header: dict[str, Any], code: str, issues: Sequence[Issue]
) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    response: dict[str, Any] = {"identifier": header["id"], "code": code}
    if issues:
        outcome = f"urn:uuid:{ctx.new_id()}"
        response["details"] = {"reference": outcome}
        entries.append({"fullUrl": outcome, "resource": operation_outcome(issues)})
    id_ = ctx.new_id()
    answer: dict[str, Any] = {"resourceType": "MessageHeader", "id": id_}
    answer |= {name: header[name] for name in ("eventCoding", "eventUri") if name in header}
    sender = header["source"]
    to = {name: sender[name] for name in ("name", "endpoint") if name in sender}
    answer |= {
        "destination": [to],
        "source": {"software": "fhir-server", "endpoint": f"{ctx.base_url}/$process-message"},
        "response": response,
    }
    return {
        "resourceType": "Bundle",
        "id": ctx.new_id(),
        "type": "message",
        "timestamp": instant_text(ctx.now()),
        "entry": [{"fullUrl": f"urn:uuid:{id_}", "resource": answer}, *entries],
    }


PROCESS_MESSAGE = Operation(
    "MessageHeader-process-message",
    process_message,
    "Carry out the event of a message",
    writes=True,
    touches=("*",),
)
