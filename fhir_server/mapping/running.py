"""A message about to be mapped: what it says of itself, and what its values are read with."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fhir_server.mapping.authorities import authority_reader, system_reader
from fhir_server.mapping.entries import Entries
from fhir_server.mapping.grouping import Group
from fhir_server.mapping.loading import Book
from fhir_server.mapping.rules import MappingError, Table
from fhir_server.mapping.scope import Run
from fhir_server.mapping.values import Segment


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message says of itself (HL7 v2 2.14.9).

    recorded: when what it tells was recorded, EVN-2, which a message that is sent again keeps; else
        MSH-7.
    """

    type: str
    event: str
    structure: str
    version: str
    control_id: str
    time: str
    application: str
    facility: str
    recorded: str = ""


@dataclass(frozen=True, slots=True)
class Readers:
    """What values of a message are read with, under one set of overlays."""

    zone: tzinfo
    authority: Callable[[Run, str, str, str], str]
    coding_system: Callable[[str], str]
    table: Callable[[str], Table]
    role: str


def readers_of(book: Book, zone: str) -> Readers:
    """The readers of a book. zone: of times without an offset, where the book says no other."""
    return Readers(
        zone=_zone(book.sender.zone or zone),
        authority=authority_reader(book.authorities, book.sender.authority),
        coding_system=system_reader(book.systems),
        table=book.table,
        role=book.sender.role or "",
    )


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise MappingError(
            f"{name!r} is no time zone; expected one such as Europe/Berlin"
        ) from None


def facts_of(segments: Sequence[Segment]) -> Facts:
    """What the header of a message says of it."""
    found = {each.name: each for each in reversed(segments) if each.name in ("MSH", "EVN")}

    def read(field: int, part: int = 1, name: str = "MSH") -> str:
        values = found[name].field(field) if name in found else []
        value = values[0].part(part) if values else None
        return value.plain if value else ""

    recorded = read(2, name="EVN") or read(7)
    own = (read(9), read(9, 2), read(9, 3), read(12), read(10), read(7), read(3), read(4))
    return Facts(*own, recorded)


def structure_of(facts: Facts, book: Book) -> str:
    """The structure of a message: what it says, if that is known; else by its event."""
    event = f"{facts.type}^{facts.event}"
    if facts.structure in book.messages and facts.structure in book.structures:
        expected = book.events.get(event)
        return expected or facts.structure
    derived = facts.structure or f"{facts.type}_{facts.event}"
    return book.events.get(event) or re.sub(r"[^A-Z0-9_]", "", derived)


def start(facts: Facts, structure: str, root: Group, readers: Readers) -> Run:
    """Begin to map a message whose segments are grouped."""
    variables = {
        "type": facts.type,
        "event": facts.event,
        "structure": structure,
        "version": facts.version,
        "control_id": facts.control_id,
        "time": facts.time,
        "application": facts.application,
        "facility": facts.facility,
        "role": readers.role,
    }
    source = f"{facts.application}|{facts.facility}|{facts.control_id}|{facts.time}"
    return Run(
        root=root,
        variables=variables,
        zone=readers.zone,
        authority=readers.authority,
        coding_system=readers.coding_system,
        entries=Entries(source),
        table=readers.table,
    )
