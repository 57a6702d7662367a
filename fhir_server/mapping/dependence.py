"""What a mapping depends on beside the value in hand, and so what may be made once."""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.mapping.expressions import Call, Node, Path, Variable, nodes, read
from fhir_server.mapping.loading import Book
from fhir_server.mapping.rules import Json, Rule
from fhir_server.mapping.scope import Scope
from fhir_server.mapping.values import Value

# What these give depends on their arguments and the rules alone.
_PURE = frozenset(
    {"after", "before", "coalesce", "coding_system", "comparator", "concat", "content_type",
     "encoded", "if", "is_number", "join", "length", "lookup", "lower", "matches", "replace",
     "title", "trim", "upper", "whole"}
)  # fmt: skip
_MOST = 20_000


def reads_value_only(book: Book, name: str) -> bool:
    """Whether a mapping reads nothing of the message but the value in hand."""
    found = list(_nodes(book, name, set()))
    return None not in found and not any(isinstance(n, Path) and n.segment for n in found)


def is_same_everywhere(book: Book, name: str) -> bool:
    """Whether a mapping makes the same of the same text in every message."""
    found = list(_nodes(book, name, set()))
    return reads_value_only(book, name) and not any(
        isinstance(n, Variable) or (isinstance(n, Call) and n.name not in _PURE) for n in found
    )


def _nodes(book: Book, name: str, seen: set[str]) -> Iterator[Node | None]:
    """All of the expressions of a mapping and of those it uses; None for what goes elsewhere."""
    if name in seen:
        return
    seen.add(name)
    for rule in book.mappings[name].rules:
        yield from _of_rule(book, rule, seen)


def _of_rule(book: Book, rule: Rule, seen: set[str]) -> Iterator[Node | None]:
    if any(rule.get(key) for key in ("each", "every", "find", "ref")):
        yield None
    for key in ("from", "when"):
        if rule.get(key):
            yield from nodes(read(rule.get(key)))
    for key in ("as", "make", "include"):
        if rule.get(key):
            yield from _nodes(book, rule.get(key), seen)
    for inner in rule.rules:
        yield from _of_rule(book, inner, seen)


def makes_resources(book: Book, name: str) -> bool:
    """Whether a mapping makes resources beside what it is asked for."""
    rules = book.mappings[name].rules
    return any(_makes(book, rule) for rule in rules)


def _makes(book: Book, rule: Rule) -> bool:
    if rule.get("make") or any(_makes(book, each) for each in rule.rules):
        return True
    others = (rule.get(key) for key in ("as", "include"))
    return any(makes_resources(book, each) for each in others if each)


Make = Callable[[Scope, Any], Any]


def remembered(make: Make) -> Make:
    """The same, but the same text is looked at once: codes and units come again and again.

    What is told of a value must be told each time, so such a value is not remembered.
    """
    known: dict[tuple[str, int, str, str], Json | None] = {}

    def once(scope: Scope, item: Any) -> Any:
        run = scope.run
        if run.trace is not None or not isinstance(item, Value) or "\\" in item.text:
            return make(scope, item)
        delimiters = item.segment.delimiters
        key = (item.text, len(item.place), delimiters.component, delimiters.subcomponent)
        if key in known:
            return _copy(known[key])
        told = len(run.issues)
        made = make(scope, item)
        if len(run.issues) == told:
            if len(known) >= _MOST:
                known.clear()
            known[key] = _copy(made)
        return made

    return once


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value
