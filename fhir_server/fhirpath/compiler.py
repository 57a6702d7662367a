"""Compiles FHIRPath to closures, with types worked out beforehand (R4 fhirpath.html).

For search, where every expression is evaluated on every resource that is written. Because the type
of every step is known, a step is one dictionary look-up: `value as Quantity` reads `valueQuantity`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath.ast import (
    Binary,
    Call,
    Empty,
    Indexer,
    Literal,
    LiteralKind,
    Member,
    Node,
    TypeOperation,
    TypeSpecifier,
    Variable,
)
from fhir_server.fhirpath.branches import Branch, Evaluate, computed
from fhir_server.fhirpath.errors import UnsupportedExpression
from fhir_server.fhirpath.general_branches import general_branches
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.references import target_type
from fhir_server.fhirpath.static_functions import FUNCTIONS, Branches
from fhir_server.fhirpath.static_operators import (
    LOGIC,
    ORDERINGS,
    equality,
    equals_text,
    incomparable,
    logic,
    ordering,
    truth,
)
from fhir_server.spec import Definitions, ElementDefinition, TypeDefinition, definitions

_LITERAL_TYPES = {
    LiteralKind.BOOLEAN: "boolean",
    LiteralKind.STRING: "string",
    LiteralKind.INTEGER: "integer",
    LiteralKind.DECIMAL: "decimal",
    LiteralKind.DATE: "date",
    LiteralKind.DATE_TIME: "dateTime",
    LiteralKind.TIME: "time",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression for inputs of one type.

    branches: its values in the order of the expression; a union keeps values that are equal.
    """

    source: str
    type: str
    branches: Branches

    def __call__(self, resource: dict[str, Any]) -> Iterator[tuple[Any, str]]:
        """Every value with the name of its type."""
        for branch in self.branches:
            for value in branch.values()(resource, resource):
                yield value, branch.type


@lru_cache(maxsize=8192)
def compile_expression(source: str, type_name: str) -> Expression:
    """Compile `source` for inputs of a type: a resource, data type or backbone element.

    Raises `FhirPathSyntaxError` for bad syntax and `UnsupportedExpression` for what is unknown or
    has no certain type, with the position. Parts that can hold no input of this type compile to
    nothing. What cannot be compiled to look-ups is evaluated by the general engine.
    """
    try:
        return compile_to_lookups(source, type_name)
    except UnsupportedExpression:
        return Expression(source, type_name, general_branches(source, type_name))


def compile_to_lookups(source: str, type_name: str) -> Expression:
    """Like `compile_expression`, but refuses what needs the general engine."""
    compiler = Compiler(source, definitions())
    return Expression(source, type_name, compiler.branches(parse(source), Branch(type_name)))


class Compiler:
    """Compiles one expression; the focus of a node is the branch that `$this` means there."""

    def __init__(self, source: str, known: Definitions) -> None:
        self._source = source
        self.definitions = known

    def refuse(self, node: Node, problem: str) -> UnsupportedExpression:
        """The error that says `problem` about `node`."""
        return UnsupportedExpression(self._source, node.position, problem)

    def branches(self, node: Node, focus: Branch) -> Branches:
        """What `node` yields for inputs of the type of `focus`."""
        match node:
            case Member():
                return self._member(node, focus)
            case Call():
                return self._call(node, focus)
            case Binary():
                return self._binary(node, focus)
            case TypeOperation():
                operand = self.branches(node.operand, focus)
                if node.operator == "as":
                    return self.of_type(operand, node.type)
                return self.type_test(operand, node.type, node)
            case Indexer(_, source, Literal(_, LiteralKind.INTEGER, int(index))):
                return self.item(self.branches(source, focus), index, node)
            case Literal():
                return (computed(_LITERAL_TYPES[node.kind], _constant(node.value), node),)
            case Empty():
                return ()
            case Variable(_, "this"):
                return (focus,)
        raise self.refuse(node, f"{type(node).__name__} is not supported here")

    def readable(self, branch: Branch, node: Node) -> Branch:
        """`branch`, unless its values are resources behind a reference, which are not read."""
        if branch.resolved:
            raise self.refuse(node, "resolve() can only be followed by a test with 'is'")
        return branch

    def children(self, source: Branches, name: str, node: Node) -> Branches:
        """The element `name` of every branch whose type has it; refused if none has."""
        found = [child for branch in source for child in self._child(branch, name, node)]
        if source and not found:
            types = " or ".join(dict.fromkeys(branch.type for branch in source))
            raise self.refuse(node, f"There is no element '{name}' in {types}")
        return tuple(found)

    def item(self, source: Branches, index: int, node: Node) -> Branches:
        """`source[index]`."""
        if len(source) > 1:
            raise self.refuse(node, "Items of a choice or union cannot be counted here")
        return tuple(self.readable(branch, node).at(index) for branch in source)

    def of_type(self, source: Branches, specifier: TypeSpecifier) -> Branches:
        """`source as type`, for collections as for single values."""
        name = self._type_name(specifier)
        chosen = []
        for branch in source:
            self.readable(branch, specifier)
            if self.definitions.is_a(branch.type, name):
                chosen.append(branch)
            elif self._is_resource(branch.type) and self.definitions.is_a(name, branch.type):
                tested = branch.filtered(self._is_of(name), ("ofType", name))
                chosen.append(replace(tested, type=name))
        return tuple(chosen)

    def type_test(self, source: Branches, specifier: TypeSpecifier, node: Node) -> Branches:
        """`source is type`: unknown if there is no value or more than one."""
        name = self._type_name(specifier)
        tests = [(branch.values(), self._test(branch, name)) for branch in source]

        def test(value: Any, resource: Any) -> bool | None:
            results = [
                is_of(item, resource) for values, is_of in tests for item in values(value, resource)
            ]
            return results[0] if len(results) == 1 else None

        return (computed("boolean", test, node),)

    def _test(self, branch: Branch, name: str) -> Evaluate:
        if branch.resolved:
            return self._points_to(name)
        if self._is_resource(branch.type):
            return self._is_of(name)
        fits = self.definitions.is_a(branch.type, name)
        return lambda _value, _resource: fits

    def _points_to(self, name: str) -> Evaluate:
        is_a = self.definitions.is_a

        def points(reference: Any, resource: Any) -> bool:
            target = target_type(reference, resource)
            return target is not None and (target == name or is_a(target, name))

        return points

    def _is_of(self, name: str) -> Evaluate:
        is_a = self.definitions.is_a
        return lambda value, _resource: is_a(value.get("resourceType"), name)

    def _is_resource(self, type_name: str) -> bool:
        return self.definitions.types[type_name].kind == "resource"

    def _type_name(self, specifier: TypeSpecifier) -> str:
        if specifier.namespace not in (None, "FHIR") or specifier.name not in (
            self.definitions.types
        ):
            raise self.refuse(specifier, f"'{specifier.name}' is not the name of a FHIR type")
        return specifier.name

    def _member(self, node: Member, focus: Branch) -> Branches:
        if node.source is not None:
            return self.children(self.branches(node.source, focus), node.name, node)
        named = self.definitions.types.get(node.name)
        if named is not None and node.name[0].isupper():
            return (focus,) if self.definitions.is_a(focus.type, node.name) else ()
        return self.children((focus,), node.name, node)

    def _child(self, branch: Branch, name: str, node: Node) -> Iterator[Branch]:
        self.readable(branch, node)
        definition = self.definitions.types[branch.type]
        element = definition.elements.get(name)
        if element is None:
            yield from self._chosen(branch, definition, name)
            return
        if definition.kind == "primitive-type":
            if branch.sibling is None or name == "value":
                problem = f"'{name}' of a primitive value cannot be read here"
                raise self.refuse(node, problem)
            branch = branch.sibling()
        yield from self._properties(branch, element)

    def _chosen(self, branch: Branch, definition: TypeDefinition, name: str) -> Iterator[Branch]:
        """`valueDateTime`, as published guides write `value as dateTime` for search."""
        for element in definition.elements.values():
            if element.choice and name.startswith(element.name):
                for each in self._properties(branch, element):
                    if name == element.name + each.type[0].upper() + each.type[1:]:
                        yield each

    def _properties(self, branch: Branch, element: ElementDefinition) -> Iterator[Branch]:
        many = element.max != 1
        codes = [element.content] if element.content else [type_.code for type_ in element.types]
        for code in codes:
            suffix = code[0].upper() + code[1:] if element.choice else ""
            yield self._property(branch, element, element.name + suffix, many, code)

    def _property(
        self, branch: Branch, element: ElementDefinition, key: str, many: bool, code: str
    ) -> Branch:
        child = branch.property(key, many, code)
        sibling = None
        if self.definitions.types[code].kind == "primitive-type":

            def sibling() -> Branch:
                return branch.property("_" + key, many, "Element")

        return replace(child, element=element, sibling=sibling)

    def _call(self, node: Call, focus: Branch) -> Branches:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise self.refuse(node, f"The function {node.name}() is not supported here")
        if not function.fewest <= len(node.arguments) <= function.most:
            problem = f"{node.name}() was given {len(node.arguments)} arguments"
            raise self.refuse(node, problem)
        source = (focus,) if node.source is None else self.branches(node.source, focus)
        return function.compile(self, node, source)

    def _binary(self, node: Binary, focus: Branch) -> Branches:
        left, right = self.branches(node.left, focus), self.branches(node.right, focus)
        if node.operator == "|":
            return _union(left, right)
        if node.operator in LOGIC:
            return (computed("boolean", logic(node.operator, truth(left), truth(right)), node),)
        if node.operator not in ORDERINGS | {"=", "!="}:
            raise self.refuse(node, f"The operator '{node.operator}' is not supported here")
        if unequal := incomparable(left, right):
            raise self.refuse(node, f"Values of type {unequal} cannot be compared here")
        for branch in left + right:
            self.readable(branch, node)
        if node.operator in ORDERINGS:
            return (computed("boolean", ordering(node.operator, left, right), node),)
        if text := _compared_text(node, left):
            return (computed("boolean", equals_text(left[0], text), node),)
        compare = equality(left, right, negated=node.operator == "!=")
        return (computed("boolean", compare, node),)


def _union(left: Branches, right: Iterable[Branch]) -> Branches:
    known = {(branch.type, branch.head, branch.path) for branch in left}
    fresh = (branch for branch in right if (branch.type, branch.head, branch.path) not in known)
    return (*left, *fresh)


def _compared_text(node: Binary, left: Branches) -> str | None:
    match node:
        case Binary(_, "=", _, Literal(_, LiteralKind.STRING, str(text))) if (
            len(left) == 1 and not left[0].many and left[0].type in ("string", "code", "uri")
        ):
            return text
    return None


def _constant(value: Any) -> Evaluate:
    return lambda _value, _resource: value
