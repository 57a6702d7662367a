"""FHIR types as evaluation needs them: how to get from a value to the values of an element."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.numbers import bounded
from fhir_server.fhirpath.quantity import from_fhir
from fhir_server.fhirpath.temporal import parse_date, parse_date_time, parse_time
from fhir_server.spec import ElementDefinition, TypeDefinition, definitions

if TYPE_CHECKING:
    pass

Nodes = "list[Node] | tuple[()]"
Convert = Callable[[Any], Any]


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _integer(value: Any) -> Any:
    return value if type(value) is int else None


def _decimal(value: Any) -> Decimal | None:
    return bounded(value)


def _string(value: Any) -> Any:
    return value if type(value) is str else None


def _textual(parse: Callable[[str], Any]) -> Convert:
    return lambda value: parse(value) if type(value) is str else None


# The System value of primitives and quantities, by the topmost type that has one.
_CONVERT: dict[str, Convert] = {
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "string": _string,
    "uri": _string,
    "base64Binary": _string,
    "xhtml": _string,
    "date": _textual(parse_date),
    "dateTime": _textual(parse_date_time),
    "instant": _textual(parse_date_time),
    "time": _textual(parse_time),
    "Quantity": from_fhir,
}


class NodeType:
    """A FHIR type.

    convert: makes the System value of a value, or None; is None for types without one.
    text: whether that is the value itself, a string.
    children: by name of the element; None for other names.
    """

    __slots__ = ("bases", "children", "convert", "definition", "keys", "name", "primitive", "text")

    def __init__(self, name: str, definition: TypeDefinition) -> None:
        self.name = name
        self.definition = definition
        self.primitive = definition.kind == "primitive-type"
        self.bases = frozenset(_ancestry(name))
        converters = [_CONVERT[base] for base in _ancestry(name) if base in _CONVERT]
        self.convert = converters[0] if converters else None
        self.text = self.convert is _string
        self.children = _Children(self)
        self.keys: dict[str, Child] | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def resource(self) -> bool:
        """Whether it is a type of resource."""
        return self.definition.kind == "resource"

    def by_key(self) -> "dict[str, Child]":
        """The children by the JSON property that holds them."""
        if self.keys is None:
            self.keys = {
                child.key: child
                for name in self.definition.elements
                if (element := self.children[name]) is not None
                for child in element.alternatives
            }
        return self.keys


class Child:
    """An element of a type as one JSON property, or as several if it is a choice.

    key: the JSON property; of a choice only its alternatives have one.
    type: None if the value itself says it, as a resource does.
    nested: whether the parent keeps its children apart, as primitives do.
    """

    __slots__ = ("alternatives", "by_key", "key", "name", "nested", "primitive", "sibling", "type")

    def __init__(self, name: str, key: str, type_: NodeType | None, nested: bool) -> None:
        self.name = name
        self.key = key
        self.sibling = "_" + key
        self.type = type_
        self.primitive = type_ is not None and type_.primitive
        self.nested = nested
        self.alternatives: tuple[Child, ...] = (self,)
        self.by_key: dict[str, Child] | None = None

    def choose(self, alternatives: Iterable["Child"]) -> None:
        """Make it a choice of several properties."""
        self.alternatives = tuple(alternatives)
        self.by_key = {child.key: child for child in self.alternatives}
        self.by_key |= {child.sibling: child for child in self.alternatives if child.primitive}


class _Children(dict[str, Child | None]):
    """The children of a type, made when they are first looked up."""

    __slots__ = ("_owner",)

    def __init__(self, owner: NodeType) -> None:
        self._owner = owner

    def __missing__(self, name: str) -> Child | None:
        element = self._owner.definition.elements.get(name)
        # Names that do not exist come from expressions without limit, so they are not kept.
        if element is None or (self._owner.primitive and name == "value"):
            return None
        return self.setdefault(name, _child(element, nested=self._owner.primitive))


def _child(element: ElementDefinition, *, nested: bool) -> Child:
    codes = [element.content] if element.content else [type_.code for type_ in element.types]
    if not element.choice:
        return Child(element.name, element.name, _specific(codes[0]), nested)
    choice = Child(element.name, element.name, None, nested)
    choice.choose(
        Child(element.name, element.name + code[0].upper() + code[1:], _specific(code), nested)
        for code in codes
    )
    return choice


def _specific(code: str) -> NodeType | None:
    return None if code in ("Resource", "DomainResource") else node_type(code)


def _ancestry(name: str) -> list[str]:
    found = []
    current: str | None = name
    while current is not None:
        found.append(current)
        definition = definitions().types.get(current)
        current = definition.base if definition else None
    return found


class _NodeTypes(dict[object, NodeType | None]):
    """The types by name, made when they are first looked up."""

    def __missing__(self, name: object) -> NodeType | None:
        definition = definitions().types.get(name) if isinstance(name, str) else None
        if definition is None:
            return None
        return self.setdefault(name, NodeType(definition.name, definition))


NODE_TYPES = _NodeTypes()


def node_type(name: object) -> NodeType | None:
    """The type of a name; None if R4 has no such type."""
    return NODE_TYPES[name] if name.__class__ is str else None
