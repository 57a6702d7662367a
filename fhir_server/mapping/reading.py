"""The segments of a message, as rules read them."""

import re
from collections import Counter

from fhir_server.hl7v2 import Message
from fhir_server.hl7v2.escapes import unescape
from fhir_server.mapping.values import Delimiters, Segment

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def segments_of(message: Message) -> list[Segment]:
    """The segments of a message, each with its number among those of its name."""
    given = message.delimiters
    codec = message.decoded.codec
    mark = given.escape

    def plain(text: str) -> str:
        if mark and mark in text:
            text = unescape(text, given, codec)
        # R4 datatypes.html#string: no control characters but those of lines and tabs.
        return text if text.isprintable() else _CONTROL.sub("", text)

    delimiters = Delimiters(given.component, given.repetition, given.subcomponent, plain)
    numbers: Counter[str] = Counter()
    segments = []
    for each in message.segments:
        numbers[each.name] += 1
        segments.append(Segment(each.name, each.fields, numbers[each.name], delimiters))
    return segments
