"""Elements of resources as evaluation meets them: a value, its type, and where it stands."""

from typing import Any

from fhir_server.fhirpath.model import Child, NodeType, node_type


class Node:
    """An element of a resource, or the resource itself.

    value: as the resource holds it; None for a primitive that has only extensions.
    kind: its type.
    extra: of a primitive, the object of the property `_name`, or None.
    parent: the node it is an element of; None for the outermost.
    child: which element of `parent`; its `key` is the JSON property that holds it.
    index: which item of a repeating element, counted from 0; None for others.
    """

    __slots__ = ("child", "extra", "index", "kind", "parent", "value")

    def __init__(
        self,
        value: Any,
        kind: NodeType,
        extra: Any = None,
        parent: "Node | None" = None,
        child: Child | None = None,
        index: int | None = None,
    ) -> None:
        self.value = value
        self.kind = kind
        self.extra = extra
        self.parent = parent
        self.child = child
        self.index = index

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.path}>"

    @property
    def type(self) -> str:
        """The name of its type."""
        return self.kind.name

    @property
    def path(self) -> str:
        """Where it stands, such as `Patient.name[0].given[1]` (R4 fhirpath.html)."""
        steps = []
        node = self
        while node.parent is not None and node.child is not None:
            index = "" if node.index is None else f"[{node.index}]"
            steps.append(node.child.name + index)
            node = node.parent
        return ".".join((node.kind.name, *reversed(steps)))

    def resource(self) -> "Node":
        """The innermost resource it belongs to, or the outermost node if there is none."""
        node = self
        while not node.kind.resource and node.parent is not None:
            node = node.parent
        return node


def root_node(value: Any, type_name: str | None = None) -> Node | None:
    """The node of a resource, or of a value whose type is given; None if R4 has no such type."""
    stated = value.get("resourceType") if value.__class__ is dict else None
    kind = node_type(type_name if stated is None else stated)
    return None if kind is None else Node(value, kind)


def elements(node: Node, child: Child) -> "list[Node] | tuple[()]":
    """The nodes of one element of `node`."""
    value = node.extra if child.nested else node.value
    if value.__class__ is not dict:
        return ()
    if child.by_key is not None:
        return _of_choice(node, child.by_key, value)
    found = value.get(child.key)
    if child.primitive:
        sibling = value.get(child.sibling)
        if found is None and sibling is None:
            return ()
        return _primitives(node, child, found, sibling)
    if found is None:
        return ()
    if found.__class__ is list:
        return _each(node, child, found)
    made = _made(node, child, found, None)
    return () if made is None else [made]


def children(node: Node) -> list[Node]:
    """All elements of `node`, in the order in which the resource holds them."""
    value = node.extra if node.kind.primitive else node.value
    if value.__class__ is not dict:
        return []
    by_key = node.kind.by_key()
    found: list[Node] = []
    for key, item in value.items():
        child = by_key.get(key)
        if child is None:
            child = by_key.get(key[1:]) if key[:1] == "_" and key[1:] not in value else None
            if child is None:
                continue
        if item.__class__ is str and child.primitive and child.type is not None:
            found.append(Node(item, child.type, value.get(child.sibling), node, child))
        else:
            found += elements(node, child)
    return found


def _of_choice(
    node: Node, by_key: dict[str, Child], value: dict[str, Any]
) -> "list[Node] | tuple[()]":
    for key in value:
        child = by_key.get(key)
        if child is not None:
            return elements(node, child)
    return ()


def _primitives(node: Node, child: Child, found: Any, sibling: Any) -> list[Node]:
    kind = child.type
    assert kind is not None
    if found.__class__ is not list and sibling.__class__ is not list:
        return [Node(found, kind, sibling, node, child)] if found.__class__ is not dict else []
    values = found if found.__class__ is list else ()
    siblings = sibling if sibling.__class__ is list else ()
    nodes = []
    for index in range(max(len(values), len(siblings))):
        value = values[index] if index < len(values) else None
        extra = siblings[index] if index < len(siblings) else None
        if value is not None or extra is not None:
            nodes.append(Node(value, kind, extra, node, child, index))
    return nodes


def _each(node: Node, child: Child, values: list[Any]) -> list[Node]:
    kind = child.type
    if kind is None:
        made = (_made(node, child, value, index) for index, value in enumerate(values))
        return [item for item in made if item is not None]
    return [
        Node(value, kind, None, node, child, index)
        for index, value in enumerate(values)
        if value.__class__ is dict
    ]


def _made(node: Node, child: Child, value: Any, index: int | None) -> Node | None:
    if value.__class__ is not dict:
        return None
    kind = child.type or node_type(value.get("resourceType"))
    return None if kind is None else Node(value, kind, None, node, child, index)
