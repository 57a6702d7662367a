"""The CodeSystems, ValueSets and ConceptMaps that come with R4, read when one is asked for.

The files stay on disk: one line a resource, mapped into memory that all workers share. Finding
the lines takes a few milliseconds; a resource is decoded from its line.
"""

import functools
import mmap
from typing import NamedTuple

import msgspec

from fhir_server.spec.load import DATA
from fhir_server.terminology.sources import Heading, Held, Name

PLACE = "http://hl7.org/fhir|4.0.1"

_FILES = {
    "CodeSystem": "code_systems.json",
    "ValueSet": "value_sets.json",
    "ConceptMap": "concept_maps.json",
}
_URL = b'{"url":"'


class _Line(NamedTuple):
    file: mmap.mmap
    start: int
    end: int


class Shipped:
    """The shipped resources by type and canonical URL."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._rows: dict[Name, int] = {}
        for type_, file_name in _FILES.items():
            self._index(type_, file_name)

    def _index(self, type_: str, file_name: str) -> None:
        with (DATA / "terminology" / file_name).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = mapped.find(b"\n") + 1
        while mapped[start : start + len(_URL)] == _URL:
            end = mapped.find(b"\n", start)
            url_at = start + len(_URL)
            url = mapped[url_at : mapped.find(b'"', url_at)].decode()
            self._rows[Name(type_, url)] = len(self._lines)
            last = end - 1 if mapped[end - 1 : end] == b"," else end
            self._lines.append(_Line(mapped, start, last))
            start = end + 1

    def names(self, type_: str) -> list[Name]:
        """The names of one type."""
        return [name for name in self._rows if name.type == type_]

    def locate(self, name: Name) -> tuple[Held, ...]:
        """The one shipped under a name, or none."""
        row = self._rows.get(name)
        return () if row is None else (Held(PLACE, row),)

    def content(self, held: Held) -> bytes:
        """The JSON of a shipped resource."""
        line = self._lines[held.row]
        return line.file[line.start : line.end]

    def heading(self, held: Held) -> Heading:
        """The heading of a shipped resource."""
        return msgspec.json.decode(self.content(held), type=Heading)


@functools.cache
def shipped() -> Shipped:
    """The shipped resources, indexed once a process."""
    return Shipped()
