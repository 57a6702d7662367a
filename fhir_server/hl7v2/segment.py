"""A segment: its text as it came, divided when somebody looks."""

from collections.abc import Sequence

from fhir_server.hl7v2.delimiters import HEADERS, Delimiters
from fhir_server.hl7v2.escapes import escape, unescape

# HL7 v2 2.5.3: two double quotes say that a value is to be deleted; nothing says no change.
NULL = '""'

# A field as it is written: text, components, subcomponents in those; a list is repetitions.
Part = str | Sequence[str]
Field = str | tuple[Part, ...] | list["str | tuple[Part, ...]"]


class Segment:
    """A segment of a message.

    text: as it stands, with the lines that continue it. end: the line ends after it.
    Numbers of fields, repetitions, components and subcomponents count from 1. In a header segment
    the first field is the field separator and the second the other delimiters.
    """

    __slots__ = ("_codec", "_fields", "changed", "delimiters", "end", "name", "text")

    def __init__(
        self, text: str, delimiters: Delimiters, *, end: str = "\r", codec: str = "utf-8"
    ) -> None:
        self.text = text
        self.end = end
        self.delimiters = delimiters
        self.changed = False
        self.name = text.lstrip(" \t")[:3]
        self._codec = codec
        self._fields: list[str] | None = None

    @property
    def fields(self) -> list[str]:
        """The fields as they stand, the name of the segment first, so that `fields[3]` is SEG-3."""
        if self._fields is None:
            found = self.text.lstrip(" \t").split(self.delimiters.field)
            if self.name in HEADERS:
                found.insert(1, self.delimiters.field)
            self._fields = found
        return self._fields

    def raw(self, field: int) -> str:
        """A field as it stands; empty if it is not there."""
        fields = self.fields
        return fields[field] if field < len(fields) else ""

    def repetitions(self, field: int) -> list[str]:
        """The repetitions of a field as they stand; one of a field that is empty."""
        text = self.raw(field)
        if (self.name in HEADERS and field <= 2) or not self.delimiters.repetition:
            return [text]
        return text.split(self.delimiters.repetition)

    def part(self, field: int, repetition: int = 1, component: int = 0, sub: int = 0) -> str:
        """A repetition, a component or a subcomponent as it stands; empty if it is not there."""
        text = _at(self.repetitions(field), repetition)
        if component and not (self.name in HEADERS and field <= 2):
            text = _part(text, self.delimiters.component, component)
            if sub:
                text = _part(text, self.delimiters.subcomponent, sub)
        return text

    def value(self, field: int, repetition: int = 1, component: int = 1, sub: int = 1) -> str:
        """A leaf, unescaped; empty for one that is not there and for `""`."""
        if repetition == component == sub == 1:
            whole = self.raw(field)
            if not whole or (whole.isalnum() and self.delimiters.are_signs):
                return whole
        text = self.part(field, repetition, component, sub)
        if self.name in HEADERS and field <= 2:
            return text
        return "" if text == NULL else unescape(text, self.delimiters, self._codec)

    def is_null(self, field: int) -> bool:
        """Whether a field says that what it held is to be deleted."""
        return self.raw(field) == NULL

    def put(self, field: int, value: Field) -> None:
        """Set a field; the values in it are escaped. Raises ValueError for a delimiter field."""
        self.put_raw(field, field_text(value, self.delimiters))

    def put_raw(self, field: int, text: str) -> None:
        """Set a field to text that is escaped already, such as that of another message's field."""
        if field < 1 or (self.name in HEADERS and field <= 2):
            raise ValueError(f"{self.name}-{field} cannot be set")
        fields = self.fields
        fields.extend([""] * (field + 1 - len(fields)))
        fields[field] = text
        shown = [fields[0], *fields[2:]] if self.name in HEADERS else fields
        self.text = self.delimiters.field.join(shown)
        self.changed = True

    def trim(self) -> None:
        """Leave out the empty fields at the end."""
        self.text = self.text.rstrip(self.delimiters.field)
        self._fields = None

    def __repr__(self) -> str:
        return f"Segment({self.name})"


def written(name: str, fields: Sequence[Field], delimiters: Delimiters) -> str:
    """The text of a segment; the values in its fields are escaped.

    fields: from the first on; those of a header segment from the third on.
    """
    texts = [field_text(each, delimiters) for each in fields]
    while texts and not texts[-1]:
        texts.pop()
    if name in HEADERS:
        texts.insert(0, delimiters.encoding_characters)
    return delimiters.field.join([name, *texts])


def field_text(value: Field, delimiters: Delimiters) -> str:
    """A field as it stands in a message, its leaves escaped but for `""`."""
    if isinstance(value, list):
        return delimiters.repetition.join(_repetition(each, delimiters) for each in value)
    return _repetition(value, delimiters)


def _repetition(value: str | tuple[Part, ...], delimiters: Delimiters) -> str:
    if isinstance(value, str):
        return _leaf(value, delimiters)
    parts = [_component(each, delimiters) for each in value]
    return _joined(parts, delimiters.component)


def _component(value: Part, delimiters: Delimiters) -> str:
    if isinstance(value, str):
        return _leaf(value, delimiters)
    return _joined([_leaf(each, delimiters) for each in value], delimiters.subcomponent)


def _joined(parts: list[str], delimiter: str) -> str:
    while parts and not parts[-1]:
        parts.pop()
    return delimiter.join(parts)


def _leaf(value: str, delimiters: Delimiters) -> str:
    return value if value == NULL else escape(value, delimiters)


def _part(text: str, delimiter: str, number: int) -> str:
    return _at(text.split(delimiter) if delimiter else [text], number)


def _at(parts: list[str], number: int) -> str:
    return parts[number - 1] if 0 < number <= len(parts) else ""
