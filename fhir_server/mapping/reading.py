"""The segments of a message, as rules read them."""

from collections import Counter

from fhir_server.hl7v2 import Message
from fhir_server.hl7v2.escapes import unescape
from fhir_server.mapping.values import Delimiters, Segment


def segments_of(message: Message) -> list[Segment]:
    """The segments of a message, each with its number among those of its name."""
    given = message.delimiters
    codec = message.decoded.codec
    mark = given.escape

    def plain(text: str) -> str:
        return unescape(text, given, codec) if mark and mark in text else text

    delimiters = Delimiters(given.component, given.repetition, given.subcomponent, plain)
    numbers: Counter[str] = Counter()
    segments = []
    for each in message.segments:
        numbers[each.name] += 1
        segments.append(Segment(each.name, each.fields, numbers[each.name], delimiters))
    return segments
