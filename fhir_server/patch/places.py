"""Places of elements in a resource's JSON form, as FHIRPath Patch reads and writes them.

A primitive's value and its extensions are two properties (R4 json.html#primitive); here they are
one slot, so that they move together.
"""

from dataclasses import dataclass, replace
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.model import Child, NodeType
from fhir_server.patch.values import Value

# A value, and the object with its extensions if it is a primitive.
Slot = tuple[Any, Any]


class NotPossible(Exception):
    """The element cannot be changed so, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the items of one element stand.

    owner: the object that has, or will have, the element's properties.
    kind: the type of the owner. element: as the type defines it.
    child: the property; of a choice the one alternative.
    """

    owner: dict[str, Any]
    kind: NodeType
    element: Child
    child: Child

    @property
    def repeats(self) -> bool:
        """Whether there may be several items."""
        return self.kind.definition.elements[self.child.name].max != 1

    def is_there(self) -> bool:
        """Whether the element has an item, whatever its type."""
        keys = (key for item in self.element.alternatives for key in (item.key, item.sibling))
        return any(key in self.owner for key in keys)

    def load(self) -> list[Slot]:
        """The items."""
        values = _list(self.owner.get(self.child.key))
        extras = _list(self.owner.get(self.child.sibling)) if self.child.primitive else []
        length = max(len(values), len(extras))
        return list(zip(_padded(values, length), _padded(extras, length), strict=True))

    def store(self, slots: list[Slot]) -> None:
        """Replace all items."""
        self._put(self.child.key, [value for value, _ in slots])
        if self.child.primitive:
            self._put(self.child.sibling, [extra for _, extra in slots])

    def _put(self, key: str, items: list[Any]) -> None:
        if all(item is None for item in items):
            self.owner.pop(key, None)
        else:
            self.owner[key] = items if self.repeats else items[0]

    def for_value(self, value: Value) -> "Place":
        """The place of a value of this type; for a choice that may be another property."""
        return replace(self, child=_alternative(self.element, value))

    def made(self, value: Value) -> Slot:
        """The slot that a value fills."""
        if not value.parts:
            return value.copied()
        kind = self.child.type
        if kind is None or kind.primitive:
            raise NotPossible(f"{self.child.name!r} is not made of parts")
        return _built(kind, value), None


def _built(kind: NodeType, value: Value) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, part in value.parts:
        place = _place(result, kind, name, part)
        if place.is_there() and not place.repeats:
            raise NotPossible(f"the part {name[:80]!r} is given twice")
        place.store([*place.load(), place.made(part)])
    return result


def place_in(node: Node, name: str, value: Value) -> Place:
    """The place for a new item of an element of `node`."""
    _place({}, node.kind, name, value)  # so that nothing is changed for a name that is wrong
    return _place(_object(node), node.kind, name, value)


def place_of(node: Node) -> Place:
    """The place that a node has. Raises `NotPossible` for the resource itself."""
    if node.parent is None or node.child is None:
        raise NotPossible("the resource itself has to stay")
    kind = node.parent.kind
    element = kind.children[node.child.name]
    assert element is not None
    return Place(_object(node.parent), kind, element, node.child)


def _place(owner: dict[str, Any], kind: NodeType, name: str, value: Value) -> Place:
    element = kind.children[name]
    child = kind.by_key().get(name)
    if element is None and child is not None:
        element = kind.children[child.name]
    if element is None:
        raise NotPossible(f"{kind.name} has no element {name[:80]!r}")
    return Place(owner, kind, element, _alternative(element, value))


def _alternative(element: Child, value: Value) -> Child:
    if element.by_key is None:
        return element
    wanted = element.name + value.suffix
    for child in element.alternatives:
        if child.key == wanted:
            return child
    given = f"a {value.suffix}" if value.suffix else "parts"
    raise NotPossible(f"{element.name!r} cannot be {given}")


def _object(node: Node) -> dict[str, Any]:
    """The object with a node's elements; a primitive gets one when it has none."""
    held = node.extra if node.kind.primitive else node.value
    if isinstance(held, dict):
        return held
    made: dict[str, Any] = {}
    if node.parent is None or node.child is None or not node.kind.primitive:
        raise NotPossible("it cannot have elements")
    place = place_of(node)
    slots = place.load()
    index = node.index or 0
    slots[index] = (slots[index][0], made)
    place.store(slots)
    return made


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _padded(items: list[Any], length: int) -> list[Any]:
    return items + [None] * (length - len(items))
