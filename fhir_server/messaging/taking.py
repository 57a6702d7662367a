"""Which messages a listener takes, whatever they say."""

from fhir_server.hl7v2.acknowledgment import Problem
from fhir_server.hl7v2.message import Message
from fhir_server.messaging.settings import ListenerSettings


def unwanted(message: Message, listener: ListenerSettings | None) -> Problem | None:
    """Why a message is not taken; None if it is."""
    if not message.value("MSH-9.1"):
        return Problem(101, "MSH-9 says no type of message")
    version = message.value("MSH-12")
    if version and not version.startswith("2"):
        return Problem(203, f"Version {version} is none of 2.1 to 2.9")
    given = message.value("MSH-11.1")
    wanted = listener.processing_ids if listener is not None else ()
    if wanted and given not in wanted:
        return Problem(202, f"Processing id {given!r}; expected {' or '.join(wanted)}")
    return _of_protocols(message)


def _of_protocols(message: Message) -> Problem | None:
    """What would be half a message, or a question that gets no answer (HL7 v2 2.10.1, 2.10.2)."""
    if message.is_fragment:
        text = "Parts of messages (MSH-14, ADD, DSC) are not put together; expected a whole message"
        return Problem(207, text)
    asks = message.value("MSH-13") in ("0", "-1")
    if asks and len(message.segments) == 1:
        return Problem(207, "The sequence number protocol is not followed; expected no MSH-13")
    return None
