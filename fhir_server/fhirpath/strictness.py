"""Checks an expression against the type it is for, before any value is met (N1 section 10).

What has no certain type, such as what `resolve()` finds, is not checked further.
"""

from dataclasses import dataclass, replace

from fhir_server.fhirpath.ast import (
    Binary,
    Call,
    ExternalConstant,
    Indexer,
    Literal,
    Member,
    Node,
    QuantityLiteral,
    TypeOperation,
    Variable,
)
from fhir_server.fhirpath.errors import FhirPathTypeError
from fhir_server.spec import definitions


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known about a collection.

    types: the types its items may have; None if anything.
    ordered: whether the order of its items means something.
    """

    types: frozenset[str] | None = None
    ordered: bool = True


_ANYTHING = Shape()
_BOOLEAN = Shape(frozenset({"System.Boolean"}))
_INTEGER = Shape(frozenset({"System.Integer"}))
_STRING = Shape(frozenset({"System.String"}))
# Types whose elements say nothing about those of what derives from them.
_OPEN = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})

_SAME = frozenset(
    ("where", "first", "last", "tail", "skip", "take", "single", "distinct", "trace", "exclude")
) | {"intersect", "sort"}
_ON_EACH = frozenset(("all", "exists", "repeat", "select", "sort", "trace", "where", "iif"))
_NEEDS_ORDER = frozenset(("first", "last", "tail", "skip", "take"))
_RESULTS = {
    **dict.fromkeys(("all", "allTrue", "anyTrue", "allFalse", "anyFalse", "contains"), _BOOLEAN),
    **dict.fromkeys(("empty", "endsWith", "exists", "hasValue", "is", "isDistinct"), _BOOLEAN),
    **dict.fromkeys(("matches", "not", "startsWith", "subsetOf", "supersetOf"), _BOOLEAN),
    **dict.fromkeys(("count", "indexOf", "length", "toInteger"), _INTEGER),
    **dict.fromkeys(("join", "lower", "replace", "replaceMatches", "substring"), _STRING),
    **dict.fromkeys(("toString", "upper"), _STRING),
    "children": Shape(ordered=False),
    "descendants": Shape(ordered=False),
    "extension": Shape(frozenset({"Extension"})),
}
_ARITHMETIC = frozenset(("+", "-", "*", "/", "div", "mod"))


def check(source: str, tree: Node, type_name: str) -> None:
    """Raise `FhirPathTypeError` if `tree` cannot make sense for values of a type."""
    _Checker(source, type_name).shape(tree, Shape(frozenset({type_name})))


def types_of(source: str, tree: Node, type_name: str) -> frozenset[str] | None:
    """The types that the values of an expression may have; None if they cannot be told.

    Parts that are for other types are taken as empty. Raises `FhirPathTypeError` as `check` does.
    """
    checker = _Checker(source, type_name, foreign=True)
    return checker.shape(tree, Shape(frozenset({type_name}))).types


class _Checker:
    """Works out shapes; `foreign` is whether paths from other types are empty, not wrong."""

    def __init__(self, source: str, type_name: str, *, foreign: bool = False) -> None:
        self._source = source
        self._root = type_name
        self._foreign = foreign
        self._known = definitions()

    def shape(self, node: Node, focus: Shape) -> Shape:
        """What `node` gives when `$this` has the shape `focus`."""
        match node:
            case Member():
                return self._member(node, focus)
            case Call():
                return self._call(node, focus)
            case Binary():
                return self._binary(node, focus)
            case TypeOperation():
                self.shape(node.operand, focus)
                return _BOOLEAN if node.operator == "is" else self._named(node.type.name)
            case Indexer():
                self.shape(node.index, focus)
                return self._in_order(self.shape(node.source, focus), node)
            case Literal():
                return Shape(frozenset({"System." + node.kind.value}))
            case QuantityLiteral():
                return Shape(frozenset({"System.Quantity"}))
            case Variable(_, "this"):
                return focus
            case ExternalConstant(_, "context"):
                return Shape(frozenset({self._root}))
        for child in node.children():
            self.shape(child, focus)
        return _ANYTHING

    def _refuse(self, node: Node, problem: str) -> FhirPathTypeError:
        return FhirPathTypeError(self._source, node.position, problem)

    def _in_order(self, shape: Shape, node: Node) -> Shape:
        if not shape.ordered:
            raise self._refuse(node, "The items this picks from have no certain order")
        return shape

    def _member(self, node: Member, focus: Shape) -> Shape:
        if node.source is not None:
            return self._child(node, self.shape(node.source, focus))
        if node.name[:1].isupper() and node.name in self._known.types:
            return self._own_type(node, focus)
        return self._child(node, focus)

    def _own_type(self, node: Member, focus: Shape) -> Shape:
        if focus.types is None:
            return self._named(node.name)
        is_a = self._known.is_a
        fitting = {name for name in focus.types if is_a(name, node.name)}
        fitting |= {node.name for name in focus.types if is_a(node.name, name)}
        if not fitting and not self._foreign:
            raise self._refuse(node, f"Expected {_listed(focus.types)} but found {node.name}")
        return replace(focus, types=frozenset(fitting))

    def _child(self, node: Member, source: Shape) -> Shape:
        if source.types is None:
            return Shape(ordered=source.ordered)
        found: set[str] = set()
        certain = True
        for name in source.types:
            definition = self._known.types.get(name)
            element = definition.elements.get(node.name) if definition else None
            if element is not None:
                codes = [element.content] if element.content else [t.code for t in element.types]
                found.update(codes)
            elif name in _OPEN or name == "System.TypeInfo":
                certain = False
        if not found and certain and source.types:
            types = _listed(source.types)
            raise self._refuse(node, f"There is no element '{node.name}' in {types}")
        return Shape(frozenset(found) if certain else None, source.ordered)

    def _call(self, node: Call, focus: Shape) -> Shape:
        source = focus if node.source is None else self.shape(node.source, focus)
        if node.name in ("is", "as", "ofType"):
            return _BOOLEAN if node.name == "is" else self._type_argument(node, source)
        inner = source if node.name in _ON_EACH else focus
        arguments = [self._argument(node, argument, inner) for argument in node.arguments]
        if node.name in _NEEDS_ORDER:
            self._in_order(source, node)
        if node.name in _SAME:
            return source
        if node.name == "iif":
            return self._choice(node, arguments)
        if node.name in ("select", "repeat"):
            return replace(arguments[0], ordered=source.ordered and arguments[0].ordered)
        if node.name in ("union", "combine") and arguments:
            return _either(source, arguments[0])
        return _RESULTS.get(node.name, _ANYTHING)

    def _argument(self, call: Call, node: Node, inner: Shape) -> Shape:
        # What repeat() finds is looked at again, so its own result is part of its input.
        if call.name == "repeat":
            inner = _either(inner, self.shape(node, inner))
        return self.shape(node, inner)

    def _choice(self, node: Call, arguments: list[Shape]) -> Shape:
        criterion = arguments[0].types
        if criterion is not None and not criterion & {"boolean", "System.Boolean"}:
            position = node.arguments[0]
            raise self._refuse(position, f"Expected a boolean but found {_listed(criterion)}")
        found = arguments[1]
        return _either(found, arguments[2]) if len(arguments) > 2 else found

    def _type_argument(self, node: Call, source: Shape) -> Shape:
        argument = node.arguments[0]
        named = self._named(argument.name) if isinstance(argument, Member) else _ANYTHING
        return replace(named, ordered=source.ordered)

    def _named(self, name: str) -> Shape:
        return Shape(frozenset({name})) if name in self._known.types else _ANYTHING

    def _binary(self, node: Binary, focus: Shape) -> Shape:
        left, right = self.shape(node.left, focus), self.shape(node.right, focus)
        if node.operator == "|":
            return _either(left, right)
        if node.operator == "&":
            return _STRING
        return _ANYTHING if node.operator in _ARITHMETIC else _BOOLEAN


def _either(left: Shape, right: Shape) -> Shape:
    ordered = left.ordered and right.ordered
    if left.types is None or right.types is None:
        return Shape(None, ordered)
    return Shape(left.types | right.types, ordered)


def _listed(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
