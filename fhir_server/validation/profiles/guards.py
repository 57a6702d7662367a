"""Shortcuts: when a look at an object's properties shows that an invariant holds.

Made from the invariant itself. What a shortcut does not settle is left to FHIRPath, which alone
decides that an invariant is broken.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from fhir_server.fhirpath.ast import Binary, Call, Literal, LiteralKind, Member, Node
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.model import NodeType
from fhir_server.fhirpath.parser import parse

# Whether something is certain of a JSON object.
Certain = Callable[[dict[str, Any]], bool]


@cache
def guard(expression: str, kind: NodeType) -> Certain | None:
    """Whether an invariant certainly holds for a value of a type; None if that is never seen."""
    try:
        tree = parse(expression)
    except FhirPathError:
        return None
    return _true(tree, kind)


def _true(node: Node, kind: NodeType) -> Certain | None:
    match node:
        case Binary(_, "or", left, right):
            return _either(_true(left, kind), _true(right, kind))
        case Binary(_, "and", left, right):
            return _both(_true(left, kind), _true(right, kind))
        case Binary(_, "implies", left, right):
            return _either(_false(left, kind), _true(right, kind))
        case Call(_, source, "not", ()) if source is not None:
            return _false(source, kind)
        case Call(_, source, "exists", ()):
            return _there(source, kind)
        case Call(_, source, "empty", ()):
            return _absent(source, kind)
        case Call(_, source, "isDistinct", ()) if source is not None:
            return _absent(_first(source), kind)
        case Call(_, source, "all", _) if source is not None:
            return _absent(_first(source), kind)
        case Binary(_, "=", Member(_, None, name), Literal(_, LiteralKind.STRING, text)):
            return _says(name, str(text), kind)
        case Binary(_, "!=", Member(_, None, name), Literal(_, LiteralKind.STRING, text)):
            return _says_other(name, str(text), kind)
    return None


def _false(node: Node, kind: NodeType) -> Certain | None:
    match node:
        case Binary(_, "or", left, right):
            return _both(_false(left, kind), _false(right, kind))
        case Binary(_, "and", left, right):
            return _either(_false(left, kind), _false(right, kind))
        case Call(_, source, "not", ()) if source is not None:
            return _true(source, kind)
        case Call(_, source, "exists" | "hasValue", ()):
            return _absent(source, kind)
        case Call(_, source, "empty", ()):
            return _there(source, kind)
        case Binary(_, "=", Member(_, None, name), Literal(_, LiteralKind.STRING, text)):
            return _says_other(name, str(text), kind)
        case Binary(_, "!=", Member(_, None, name), Literal(_, LiteralKind.STRING, text)):
            return _says(name, str(text), kind)
    return None


def _either(one: Certain | None, other: Certain | None) -> Certain | None:
    if one is None or other is None:
        return one or other
    first, second = one, other
    return lambda value: first(value) or second(value)


def _both(one: Certain | None, other: Certain | None) -> Certain | None:
    if one is None or other is None:
        return None
    first, second = one, other
    return lambda value: first(value) and second(value)


def _first(node: Node) -> Node | None:
    """The name that a path begins with, if it is one of which nothing follows from nothing."""
    while isinstance(node, Member | Call):
        if isinstance(node, Call) and node.name not in ("where", "select", "all", "trace"):
            return None
        if node.source is None:
            return node if isinstance(node, Member) else None
        node = node.source
    return None


def _keys(node: Node | None, kind: NodeType) -> tuple[str, ...] | None:
    """The properties that hold what a path begins with."""
    first = None if node is None else _first(node)
    if not isinstance(first, Member) or first.name[:1].isupper():
        return None
    child = kind.children[first.name]
    if child is None or child.nested:
        return None
    names = [each for one in child.alternatives for each in (one.key, one.sibling)]
    return tuple(names)


def _absent(node: Node | None, kind: NodeType) -> Certain | None:
    keys = _keys(node, kind)
    if keys is None:
        return None
    if len(keys) == 2:
        key, sibling = keys
        return lambda value: key not in value and sibling not in value
    known = frozenset(keys)
    return lambda value: known.isdisjoint(value)


def _there(node: Node | None, kind: NodeType) -> Certain | None:
    if not isinstance(node, Member) or node.source is not None:
        return None
    keys = _keys(node, kind)
    if keys is None:
        return None
    if len(keys) == 2:
        key = keys[0]
        return lambda value: bool(value.get(key))
    return lambda value: any(value.get(key) for key in keys)


def _says(name: str, text: str, kind: NodeType) -> Certain | None:
    key = _text_key(name, kind)
    return None if key is None else lambda value: value.get(key) == text


def _says_other(name: str, text: str, kind: NodeType) -> Certain | None:
    key = _text_key(name, kind)
    if key is None:
        return None

    def check(value: dict[str, Any]) -> bool:
        found = value.get(key)
        return found.__class__ is str and found != text

    return check


def _text_key(name: str, kind: NodeType) -> str | None:
    """The property of a single primitive whose value is a text."""
    child = None if name[:1].isupper() else kind.children[name]
    element = kind.definition.elements.get(name)
    if child is None or element is None or element.max != 1 or child.nested:
        return None
    return child.key if child.type is not None and child.type.text else None
