"""HL7 v2 messages made of FHIR resources, by rules that are data (`mappings/outgoing/`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fhir_server import fhirpath
from fhir_server.fhirpath import Compiled, FhirPathError
from fhir_server.hl7v2.charsets import Decoded
from fhir_server.hl7v2.delimiters import Delimiters
from fhir_server.hl7v2.message import Message
from fhir_server.hl7v2.segment import Field, Segment, written
from fhir_server.mapping.rules import MappingError
from fhir_server.messaging.types import TYPES, Made, Names

Json = dict[str, Any]
Variables = Mapping[str, Any]

_CHARSET = "UNICODE UTF-8"
_FIELD_KEYS = frozenset({"from", "each", "as", "table", "default", "value"})
_SEGMENT_KEYS = frozenset({"when", "each", "number", "numbered", "fields"})


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: where it comes from and as what."""

    source: Compiled | None
    repeats: bool = False
    type: str = ""
    table: Mapping[str, str] | None = None
    default: str = ""
    constant: tuple[str, ...] = ()

    def values(self, context: Any, variables: Variables, names: Names) -> Field:
        """What stands in the field."""
        if self.source is None:
            return self.constant
        found = self.source.evaluate(context, variables=variables)
        made = [self._made(each, names) for each in (found if self.repeats else found[:1])]
        kept = [each for each in made if each and each != ("",)]
        if not kept:
            return self.default if found or not self.table else ""
        return list(kept) if self.repeats else kept[0]

    def _made(self, value: Any, names: Names) -> Made:
        if self.table is not None:
            return self.table.get(str(value), self.default)
        if self.type:
            return TYPES[self.type](value, names)
        if isinstance(value, bool):
            return "Y" if value else "N"
        return str(value)


@dataclass(frozen=True, slots=True)
class _Segment:
    """One kind of segment. number: the field that counts its repetitions."""

    name: str
    when: Compiled | None
    each: Compiled | None
    number: int
    fields: Mapping[int, _Field]


@dataclass(frozen=True, slots=True)
class _Message:
    type: str
    event: str
    structure: str
    segments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Header:
    """What MSH says. sender, receiver: application and facility. time: as v2 writes it."""

    sender: tuple[str, str]
    receiver: tuple[str, str]
    time: str
    control_id: str
    processing_id: str
    version: str


class Writer:
    """Writes messages by the rules of one folder. Raises MappingError for rules that are wrong."""

    def __init__(self, folder: Path) -> None:
        data = _read(folder / "outgoing" / "outgoing.yaml")
        self._tables = data.get("tables", {})
        self._names = _names(folder, self._tables.get("sections", {}))
        self._segments = {
            name: self._segment(name, each) for name, each in data["segments"].items()
        }
        self._messages = {
            name: _Message(
                each["type"], each["event"], each.get("structure", name), each["segments"]
            )
            for name, each in data["messages"].items()
        }
        for name, message in self._messages.items():
            if missing := set(message.segments) - self._segments.keys():
                raise MappingError(f"outgoing.yaml: {name} has no segment {', '.join(missing)}")

    def write(self, name: str, header: Header, variables: Variables) -> Message:
        """A message of a structure. Raises MappingError where a rule meets what it cannot take."""
        message = self._messages[name]
        delimiters = Delimiters()
        first = Segment(written("MSH", [], delimiters), delimiters)
        made = Message([first], delimiters, Decoded("", "utf-8", "utf-8", b"", _CHARSET))
        for number, value in _header(header, message).items():
            if value:
                made.header.put(number, value)
        counts: dict[str, int] = {}
        for segment_name in message.segments:
            try:
                self._add(made, self._segments[segment_name], variables, counts)
            except FhirPathError as error:
                raise MappingError(f"outgoing.yaml: {segment_name}: {error}") from error
        return made

    def _add(
        self, made: Message, segment: _Segment, variables: Variables, counts: dict[str, int]
    ) -> None:
        context = variables["context"]
        if segment.when is not None:
            told = segment.when.evaluate_bool(context, variables=variables)
            if not told:
                return
        items: Sequence[Any] = [context]
        if segment.each is not None:
            items = segment.each.evaluate_items(context, variables=variables)
        for item in items:
            counts[segment.name] = counts.get(segment.name, 0) + 1
            self._put(made, segment, item, {**variables, "number": str(counts[segment.name])})

    def _put(self, made: Message, segment: _Segment, item: Any, variables: Variables) -> None:
        fields: list[Field] = [""] * max(segment.fields, default=0)
        for number, field in segment.fields.items():
            fields[number - 1] = field.values(item, variables, self._names)
        if segment.number:
            fields[segment.number - 1] = variables["number"]
        made.add(segment.name, fields)

    def _segment(self, name: str, data: Json) -> _Segment:
        where = f"outgoing.yaml: {name}"
        if unknown := data.keys() - _SEGMENT_KEYS:
            raise MappingError(f"{where}: {', '.join(unknown)} is not known")
        fields = {
            number: self._field(f"{where}-{number}", each)
            for number, each in data["fields"].items()
            if each
        }
        number = data.get("number", 0)
        if number:
            fields.setdefault(number, _Field(None, constant=("",)))
        return _Segment(
            name.partition("-")[0],
            _compiled(where, data.get("when")),
            _compiled(where, data.get("each")),
            number,
            fields,
        )

    def _field(self, where: str, data: str | Json) -> _Field:
        if isinstance(data, str):
            return _Field(_compiled(where, data))
        if unknown := data.keys() - _FIELD_KEYS:
            raise MappingError(f"{where}: {', '.join(unknown)} is not known")
        if "value" in data:
            return _Field(None, constant=tuple(data["value"]))
        type_, table = data.get("as", ""), data.get("table")
        if (type_ and type_ not in TYPES) or (table and table not in self._tables):
            raise MappingError(f"{where}: there is no {type_ or table}")
        return _Field(
            _compiled(where, data.get("each") or data.get("from")),
            "each" in data,
            type_,
            self._tables[table] if table else None,
            data.get("default", ""),
        )


@cache
def shipped_writer(folder: Path) -> Writer:
    """The writer for a folder, made once."""
    return Writer(folder)


def _compiled(where: str, text: str | None) -> Compiled | None:
    if text is None:
        return None
    try:
        return fhirpath.compile(text)
    except FhirPathError as error:
        raise MappingError(f"{where}: {error}") from None


def _read(path: Path) -> Json:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: {error}") from None
    return dict(found)


def _names(folder: Path, sections: Mapping[str, str]) -> Names:
    """What v2 calls systems: what messages that come in say, the other way round."""
    authorities = _read(folder / "authorities.yaml").get("authorities", ())
    systems = _read(folder / "systems.yaml").get("systems", {})
    by_system: dict[str, str] = {}
    for name, system in systems.items():
        # The last name is the one that is most used; the first ones are older.
        by_system.setdefault(system, name)
    return Names(
        {each["system"]: each["namespace"] for each in authorities if "namespace" in each},
        by_system | {"http://loinc.org": "LN", "http://snomed.info/sct": "SCT",
                     "http://unitsofmeasure.org": "UCUM"},
        sections,
    )  # fmt: skip


def _header(header: Header, message: _Message) -> dict[int, Field]:
    old = header.version < "2.4"
    type_: tuple[str, ...] = (message.type, message.event)
    return {
        3: header.sender[0],
        4: header.sender[1],
        5: header.receiver[0],
        6: header.receiver[1],
        7: header.time,
        9: type_ if old else (*type_, message.structure),
        10: header.control_id,
        11: header.processing_id,
        12: header.version,
        18: _CHARSET if header.version >= "2.3" else "",
    }
