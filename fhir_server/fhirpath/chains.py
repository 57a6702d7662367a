"""Chains of elements, such as `Patient.name.given`, read without making nodes on the way.

Where only values are wanted, or only whether there are any, a chain is a few look-ups. What it
cannot answer exactly so, it leaves to the nodes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath.model import NodeType, node_type

Walk = Callable[[Any], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a chain is read from values of one type.

    walk: the values at its end, with None for those that only have extensions.
    text: whether they are strings.
    whole: whether `walk` misses nothing; a single primitive with only extensions it does miss.
    """

    walk: Walk
    text: bool
    whole: bool


class Chain:
    """The names of a chain, after the type it begins with if it names one."""

    __slots__ = ("_names", "_plans", "_root")

    def __init__(self, root: str | None, names: tuple[str, ...]) -> None:
        self._root = root
        self._names = names
        self._plans: dict[NodeType, Plan | None] = {}

    def then(self, name: str) -> "Chain":
        """The chain one step longer."""
        return Chain(self._root, (*self._names, name))

    def plan(self, kind: NodeType) -> Plan | None:
        """How to read it from a type; None if it leads through a choice or contained resources."""
        try:
            return self._plans[kind]
        except KeyError:
            return self._plans.setdefault(kind, self._made(kind))

    def _made(self, kind: NodeType) -> Plan | None:
        if self._root is not None and self._root not in kind.bases:
            return Plan(_nothing, text=False, whole=True)
        keys: list[str] = []
        current = kind
        for name in self._names:
            child = current.children[name]
            if child is None:
                return Plan(_nothing, text=False, whole=True)
            if child.type is None or child.nested:
                return None
            keys.append(child.key)
            current = child.type
        return Plan(_walk(keys), text=current.text, whole=not current.primitive)


def chain_from(name: str) -> Chain:
    """The chain of one name: a type, or an element."""
    if name[:1].isupper() and node_type(name) is not None:
        return Chain(name, ())
    return Chain(None, (name,))


def _nothing(_value: Any) -> Sequence[Any]:
    return ()


def _walk(keys: list[str]) -> Walk:
    if not keys:
        return lambda value: (value,)
    first, rest = keys[0], keys[1:]
    if not rest:
        return lambda value: _of(value, first)

    def walk(value: Any) -> Sequence[Any]:
        level = _of(value, first)
        for key in rest:
            if not level:
                return ()
            if len(level) == 1:
                level = _of(level[0], key)
            else:
                level = [found for item in level for found in _of(item, key)]
        return level

    return walk


def _of(value: Any, key: str) -> Sequence[Any]:
    if value.__class__ is not dict:
        return ()
    found = value.get(key)
    if found.__class__ is list:
        return found
    return () if found is None else (found,)
