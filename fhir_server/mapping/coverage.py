"""Which fields of messages the rules read, and which nobody does."""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.hl7v2 import Message
from fhir_server.mapping.expressions import paths, read
from fhir_server.mapping.loading import Book
from fhir_server.mapping.reading import segments_of
from fhir_server.mapping.rules import Rule, TypeMapping

Field = tuple[str, int]

# The header is read before any rule is, and numbers of segments say nothing of their own.
_ALWAYS = frozenset({("MSH", number) for number in (1, 2, 3, 4, 7, 9, 10, 12, 18)})


def fields_read(book: Book, structure: str) -> frozenset[Field]:
    """The fields that rules for a message structure read."""
    message = book.messages.get(structure) or book.messages["any"]
    found: set[Field] = set(_ALWAYS)
    seen: set[str] = set()
    for used in message.uses:
        data = book.resources[used.name].data
        found |= _in_texts(_texts_of(data))
        found |= _in_texts([used.when or ""])
        for name in data.get("mappings", ()):
            found |= _of_mapping(book, name, seen)
        if used.name == "order":
            found |= {("ORC", 1), ("ORC", 5)}
    for row in book.orders:
        found |= _in_texts(row.get("inputs", {}).values())
    return frozenset(found)


def _texts_of(value: Any) -> Iterator[str]:
    """The expressions in what is said of a resource."""
    identity, join = value.get("identity", {}), value.get("join", {})
    yield from (each for each in (value.get("when"), identity.get("key")) if each)
    yield from join.values()


def _in_texts(texts: Iterable[str]) -> set[Field]:
    found = [path for text in texts if text for path in paths(read(text))]
    return {(path.segment, path.field) for path in found if path.segment and path.field}


def _of_mapping(book: Book, name: str, seen: set[str]) -> set[Field]:
    mapping: TypeMapping | None = book.mappings.get(name)
    if mapping is None or name in seen:
        return set()
    seen.add(name)
    return {field for rule in mapping.rules for field in _of_rule(book, rule, seen)}


def _of_rule(book: Book, rule: Rule, seen: set[str]) -> set[Field]:
    found = _in_texts([rule.get("from") or "", rule.get("when") or ""])
    if rule.get("find"):
        found |= _in_texts([rule.get("find")["system"], rule.get("find")["value"]])
    for key in ("as", "make", "include"):
        if rule.get(key):
            found |= _of_mapping(book, rule.get(key), seen)
    for inner in rule.rules:
        found |= _of_rule(book, inner, seen)
    return found


def fields_unread(book: Book, structure: str, message: Message) -> list[tuple[Field, str]]:
    """The fields of a message that say something that no rule reads, each with its text."""
    known = fields_read(book, structure)
    return [
        ((segment.name, number), segment.raw(number))
        for segment in segments_of(message)
        for number in segment.valued()
        if (segment.name, number) not in known and not _is_number_of_segment(segment.name, number)
    ]


def _is_number_of_segment(name: str, number: int) -> bool:
    return number == 1 and name not in ("MSH", "EVN", "ORC", "SCH", "MRG", "NK0", "PV2", "PD1")
