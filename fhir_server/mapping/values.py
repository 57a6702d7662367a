"""What rules read of a message: segments, fields, repetitions, components, subcomponents."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# HL7 v2 2.5.3.1: two double quotes say that a value is to be deleted; nothing says no change.
NULL = '""'


@dataclass(frozen=True, slots=True)
class Delimiters:
    """How the fields of one message are divided, and how its leaves are unescaped."""

    component: str
    repetition: str
    subcomponent: str
    unescape: Callable[[str], str]


def _split(text: str, delimiter: str) -> list[str]:
    return text.split(delimiter) if delimiter else [text]


class Value:
    """A repetition of a field, one of its components, or a subcomponent of that.

    text: as it stands in the message, still escaped, never empty.
    place: where it stands: field, repetition, component, subcomponent, as far as that goes.
    """

    __slots__ = ("_parts", "place", "segment", "text")

    def __init__(self, text: str, segment: "Segment", place: tuple[int, ...]) -> None:
        self.text = text
        self.segment = segment
        self.place = place
        self._parts: list[str] | None = None

    @property
    def parts(self) -> list[str]:
        """Its components, or subcomponents, as they stand."""
        if self._parts is None:
            delimiters = self.segment.delimiters
            depth = len(self.place)
            if depth == 2:
                self._parts = _split(self.text, delimiters.component)
            elif depth == 3:
                self._parts = _split(self.text, delimiters.subcomponent)
            else:
                self._parts = [self.text]
        return self._parts

    def part(self, number: int) -> "Value | None":
        """A component, or a subcomponent, counted from 1; None if nothing is there."""
        parts = self.parts
        if number > len(parts):
            return None
        text = parts[number - 1]
        if not text or text == NULL:
            return None
        return Value(text, self.segment, (*self.place, number))

    @property
    def plain(self) -> str:
        """Its text unescaped; of what has parts, that of the first."""
        text = self.text
        delimiters = self.segment.delimiters
        depth = len(self.place)
        if depth == 2 and delimiters.component and delimiters.component in text:
            text = text.partition(delimiters.component)[0]
        if depth < 4 and delimiters.subcomponent and delimiters.subcomponent in text:
            text = text.partition(delimiters.subcomponent)[0]
        return "" if text == NULL else delimiters.unescape(text).strip()

    @property
    def whole(self) -> str:
        """Its text unescaped, with what divides its parts; NULL is nothing."""
        return "" if self.text == NULL else self.segment.delimiters.unescape(self.text)

    @property
    def where(self) -> str:
        """Its place for people: `PID-3[2].4.1`; a segment that comes again has its number."""
        field, repetition, *parts = self.place
        again = f"[{repetition}]" if repetition > 1 else ""
        return ".".join([f"{self.segment.where}-{field}{again}", *map(str, parts)])


class Segment:
    """A segment with what it takes to read it.

    fields: the fields as they stand, the name of the segment first, so that `fields[3]` is the
        third; the first two of a header segment are its delimiters.
    number: which of its name it is in the message, from 1.
    """

    __slots__ = ("_read", "_texts", "delimiters", "fields", "name", "number")

    def __init__(
        self, name: str, fields: Sequence[str], number: int, delimiters: Delimiters
    ) -> None:
        self.name = name
        self.fields = fields
        self.number = number
        self.delimiters = delimiters
        self._read: dict[int, list[Value]] = {}
        self._texts: dict[tuple[int, ...], str] = {}

    def field(self, number: int) -> list[Value]:
        """The repetitions of a field that say something."""
        read = self._read.get(number)
        if read is None:
            read = self._read[number] = list(self._repetitions(number))
        return read

    def _repetitions(self, number: int) -> Iterator[Value]:
        text = self.raw(number)
        if not text or text == NULL:
            return
        divided = [text] if self.name == "MSH" and number < 3 else self._divided(text)
        for at, each in enumerate(divided):
            if each and each != NULL and each.strip(self.delimiters.component):
                yield Value(each, self, (number, at + 1))

    def _divided(self, text: str) -> list[str]:
        return _split(text, self.delimiters.repetition)

    def raw(self, number: int) -> str:
        """A field as it stands; empty if it is not there."""
        return self.fields[number] if number < len(self.fields) else ""

    def text(self, place: tuple[int, ...]) -> str:
        """A text by its field, repetition, component and subcomponent; empty if it is not there."""
        text = self._texts.get(place)
        if text is None:
            field, repetition, *parts = place
            read = self.field(field)
            value = read[repetition - 1] if len(read) >= repetition else None
            for number in parts:
                value = value.part(number) if value is not None else None
            text = self._texts[place] = value.plain if value is not None else ""
        return text

    def has(self, number: int) -> bool:
        """Whether a field says something; `""` does not."""
        fields = self.fields
        if number >= len(fields):
            return False
        text = fields[number]
        return bool(text) and text != NULL and bool(self.field(number))

    def is_null(self, number: int) -> bool:
        """Whether a field says that what it held is to be deleted."""
        return self.raw(number) == NULL

    def valued(self) -> Iterator[int]:
        """The numbers of the fields that have something."""
        return (at for at, text in enumerate(self.fields) if at and text)

    @property
    def where(self) -> str:
        """Its place for people: `OBX`, and `OBX[2]` for the second."""
        return f"{self.name}[{self.number}]" if self.number > 1 else self.name
