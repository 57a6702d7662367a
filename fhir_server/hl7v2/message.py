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

    decoded: how the bytes became text. unread: the text after those segments that are given.
    """

    __slots__ = (
        "_came",
        "_header",
        "_segments",
        "_unread",
        "_warnings",
        "decoded",
        "delimiters",
        "lead",
    )

    def __init__(
        self,
        segments: list[Segment],
        delimiters: Delimiters,
        decoded: Decoded,
        raw: bytes | None = None,
        lead: str = "",
        warnings: Sequence[str] = (),
        *,
        unread: str = "",
    ) -> None:
        self.delimiters = delimiters
        self.decoded = decoded
        self.lead = lead
        self._header = segments[0]
        self._segments = segments
        self._warnings = list(warnings)
        self._unread = unread
        # What the message came as, and the segments that it had then.
        self._came = (raw, tuple(segments)) if raw is not None else None

    @property
    def header(self) -> Segment:
        """The first segment."""
        return self._header if self._unread else self._segments[0]

    @property
    def segments(self) -> list[Segment]:
        """All segments; they are divided when somebody looks beyond the header."""
        if self._unread:
            text, self._unread = self._unread, ""
            codec = self.decoded.codec
            self._segments += _segments(text, self.delimiters, codec, self._warnings)
            if self._came is not None:
                self._came = (self._came[0], tuple(self._segments))
        return self._segments

    @property
    def warnings(self) -> list[str]:
        """What was read with goodwill."""
        assert self.segments
        return self._warnings

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
        if self._unread and name != self.header.name and name not in self._unread:
            return None
        return next(self.all(name), None)

    def value(self, place: str) -> str:
        """A leaf, unescaped, by its place, such as `PID-3[2].4.1` or `OBX[2]-5`; empty if absent.

        Raises ValueError for what is no place.
        """
        name, number, *numbers = _place(place)
        if number == 1 and name == self.header.name:
            return self.header.value(*numbers)
        found = list(self.all(name))
        return found[number - 1].value(*numbers) if number <= len(found) else ""

    def add(self, name: str, fields: Sequence[Field]) -> Segment:
        """Put a segment at the end."""
        codec = self.decoded.codec
        made = Segment(written(name, fields, self.delimiters), self.delimiters, codec=codec)
        made.changed = True
        self.segments.append(made)
        return made

    def add_text(self, text: str) -> None:
        """Put a segment that is written already at the end."""
        self.segments.append(Segment(text, self.delimiters, codec=self.decoded.codec))

    def repeat(self, segment: Segment) -> None:
        """Put a segment of a message with the same delimiters at the end."""
        self.add_text(segment.text)

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
            if self._unread and not self._header.changed:
                return raw
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
    header, unread = _divided(body, delimiters, decoded.codec)
    if header is None:
        segments = list(_segments(body, delimiters, decoded.codec, warnings))
        return Message(segments, delimiters, decoded, raw, lead, warnings)
    return Message([header], delimiters, decoded, raw, lead, warnings, unread=unread)


def _divided(text: str, delimiters: Delimiters, codec: str) -> tuple[Segment | None, str]:
    """The first segment and the text after it; none where lines may continue it."""
    end = text.find("\r")
    if end < 0 or not _beginning(delimiters.field).match(text, end + 1) or "\n" in text[:end]:
        return None, ""
    return Segment(text[:end], delimiters, codec=codec), text[end + 1 :]


def _segments(
    text: str, delimiters: Delimiters, codec: str, warnings: list[str]
) -> Iterator[Segment]:
    """Each segment with the lines that continue it: those that do not begin with a name."""
    begins = _beginning(delimiters.field).match
    if "\n" not in text and text.endswith("\r") and "\r\r" not in text:
        lines = text[:-1].split("\r")
        if all(map(begins, lines)):
            yield from (Segment(each, delimiters, codec=codec) for each in lines)
            return
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
