"""Which rule made each element of what a message became, and from where in the message."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.loading import Book
from fhir_server.mapping.rules import Rule
from fhir_server.mapping.scope import Mark


@dataclass(frozen=True, slots=True)
class Explained:
    """An element: its path and value, the rule that made it, the place in the message, and the
    rows of the v2-to-FHIR guide that the rule follows."""

    path: str
    value: Any
    rule: str
    where: str
    guide: tuple[str, ...]


def explained(mapped: Mapped, book: Book) -> Iterator[tuple[str, list[Explained]]]:
    """For each resource of a message its URL and its elements; `mapped` must have a trace."""
    guides = {rule.label: rule.guide for rule in all_rules(book)}
    for entry in mapped.entries:
        found = _marks(entry.resource, mapped.trace, entry.type)
        yield entry.full_url, [_explained(each, guides) for each in found]
    if mapped.header:
        found = _marks(mapped.header, mapped.trace, "MessageHeader")
        yield "", [_explained(each, guides) for each in found]


def all_rules(book: Book) -> Iterator[Rule]:
    """Every rule of every mapping, those within others too."""
    for mapping in book.mappings.values():
        yield from _with_inner(mapping.rules)


def _with_inner(rules: tuple[Rule, ...]) -> Iterator[Rule]:
    for rule in rules:
        yield rule
        yield from _with_inner(rule.rules)


def _explained(found: tuple[str, Any, Mark], guides: Mapping[str, tuple[str, ...]]) -> Explained:
    path, value, mark = found
    return Explained(path, value, mark.rule, mark.where, guides.get(mark.rule, ()))


def _marks(
    value: Any, trace: Mapping[tuple[int, Any], Mark], path: str
) -> Iterator[tuple[str, Any, Mark]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        place = f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}"
        if mark := trace.get((id(value), name)):
            yield place, inner, mark
        if isinstance(inner, (dict, list)):
            yield from _marks(inner, trace, place)
