"""A message: its segments in order, read without loss."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from fhir_server.hl7v2.charsets import Decoded, decode
from fhir_server.hl7v2.delimiters import Delimiters
from fhir_server.hl7v2.segment import Field, Segment, written

_LINES = re.compile(r"([^\r\n]*)((?:\r\n|\r|\n)*)")
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?")


class NoHeader(ValueError):
    """Text that does not begin with a header segment; says what was found."""


class Message:
    """The segments of a message, or of what is around messages in a batch.

    decoded: how the bytes became text.
    warnings: what was read with goodwill.
    """

    __slots__ = ("_came", "decoded", "delimiters", "lead", "segments", "warnings")

    def __init__(
        self,
        segments: list[Segment],
        delimiters: Delimiters,
        decoded: Decoded,
        raw: bytes | None = None,
        lead: str = "",
        warnings: Sequence[str] = (),
    ) -> None:
        self.segments = segments
        self.delimiters = delimiters
        self.decoded = decoded
        self.lead = lead
        self.warnings = list(warnings)
        # What the message came as, and the segments that it had then.
        self._came = (raw, tuple(segments)) if raw is not None else None

    @property
    def header(self) -> Segment:
        """The first segment."""
        return self.segments[0]

    @property
    def is_fragment(self) -> bool:
        """Whether it goes on in another message, or goes on with one (HL7 v2 2.10.2)."""
        continued = self.header.name == "MSH" and bool(self.header.value(14))
        return continued or self.first("DSC") is not None or self.first("ADD") is not None

    def all(self, name: str) -> Iterator[Segment]:
        """The segments of a name, in order."""
        return (each for each in self.segments if each.name == name)

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        return next(self.all(name), None)

    def value(self, place: str) -> str:
        """A leaf, unescaped, by its place, such as `PID-3[2].4.1` or `OBX[2]-5`; empty if absent.

        Raises ValueError for what is no place.
        """
        name, number, *numbers = _place(place)
        found = list(self.all(name))
        return found[number - 1].value(*numbers) if number <= len(found) else ""

    def add(self, name: str, fields: Sequence[Field]) -> Segment:
        """Put a segment at the end."""
        codec = self.decoded.codec
        made = Segment(written(name, fields, self.delimiters), self.delimiters, codec=codec)
        made.changed = True
        self.segments.append(made)
        return made

    def repeat(self, segment: Segment) -> None:
        """Put a segment of a message with the same delimiters at the end."""
        codec = self.decoded.codec
        self.segments.append(Segment(segment.text, self.delimiters, codec=codec))

    @property
    def text(self) -> str:
        """The message as text, each segment with its line end."""
        return self.lead + "".join(f"{each.text}{each.end}" for each in self.segments)

    def encode(self, *, replace: bool = False) -> bytes:
        """The message as bytes: those it came as, unless it was changed.

        Raises UnicodeEncodeError for a character that its character set lacks, unless it is
        replaced by a question mark.
        """
        if self._came is not None:
            raw, segments = self._came
            if tuple(self.segments) == segments and not any(each.changed for each in segments):
                return raw
        return self.decoded.encode(self.text, replace=replace)


def parse(raw: bytes) -> Message:
    """The message in bytes. Raises NoHeader for what does not begin with MSH, FHS or BHS."""
    return read(decode(raw), raw)


def read(decoded: Decoded, raw: bytes | None = None) -> Message:
    """A message from text that was decoded. Raises NoHeader."""
    text = decoded.text
    body = text.lstrip("\ufeff \t\r\n\0")
    delimiters = Delimiters.of(body)
    if delimiters is None:
        raise NoHeader(f"expected MSH and a delimiter, found {body[:20]!r}")
    lead = text[: len(text) - len(body)]
    warnings = [decoded.warning] if decoded.warning else []
    segments = list(_segments(body, delimiters, decoded.codec, warnings))
    return Message(segments, delimiters, decoded, raw, lead, warnings)


def _segments(
    text: str, delimiters: Delimiters, codec: str, warnings: list[str]
) -> Iterator[Segment]:
    """Each segment with the lines that continue it: those that do not begin with a name."""
    begins = _beginning(delimiters.field).match
    line, end = "", ""
    for found in _LINES.finditer(text):
        if found.end() == found.start():
            continue
        if not line:
            line, end = found[1], found[2]
        elif begins(found[1]):
            yield Segment(line, delimiters, end=end, codec=codec)
            line, end = found[1], found[2]
        else:
            warnings.append(f"a line of {line.lstrip()[:3]} continues on the next one")
            line, end = f"{line}{end}{found[1]}", found[2]
    yield Segment(line, delimiters, end=end, codec=codec)


@lru_cache(maxsize=64)
def _beginning(field: str) -> re.Pattern[str]:
    return re.compile(rf"[ \t]*[A-Z][A-Z0-9]{{2}}(?:{re.escape(field)}|\s*\Z)")


@lru_cache(maxsize=4096)
def _place(place: str) -> tuple[str, int, int, int, int, int]:
    found = _PLACE.fullmatch(place)
    if found is None:
        raise ValueError(f"{place!r} is no place in a message; expected such as PID-3[2].4.1")
    number, field, repetition, component, sub = (int(each or 1) for each in found.groups()[1:])
    return found[1], number, field, repetition, component, sub
