"""HL7 v2 on the wire: frames, messages, acknowledgments. Knows no FHIR, no database, no sockets."""

from fhir_server.hl7v2.batch import Payload, read_payload
from fhir_server.hl7v2.delimiters import Delimiters
from fhir_server.hl7v2.message import Message, NoHeader, parse
from fhir_server.hl7v2.segment import NULL, Segment

__all__ = [
    "NULL",
    "Delimiters",
    "Message",
    "NoHeader",
    "Payload",
    "Segment",
    "parse",
    "read_payload",
]
