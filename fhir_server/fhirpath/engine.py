"""Compiles FHIRPath to closures over resources in memory (FHIRPath 2.0.0 N1, R4 fhirpath.html)."""

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath.arithmetic import OPERATORS, ORDERINGS, Mismatch, negative
from fhir_server.fhirpath.ast import (
    Binary,
    Call,
    Empty,
    ExternalConstant,
    Indexer,
    Literal,
    LiteralKind,
    Member,
    Node,
    Polarity,
    QuantityLiteral,
    TypeOperation,
    TypeSpecifier,
    Variable,
)
from fhir_server.fhirpath.chains import Chain
from fhir_server.fhirpath.code import EMPTY, FOCUS, Code, Items, boolean, constant, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.errors import (
    FhirPathEvaluationError,
    FhirPathSyntaxError,
    UnsupportedExpression,
)
from fhir_server.fhirpath.functions import FUNCTIONS
from fhir_server.fhirpath.members import member, member_of
from fhir_server.fhirpath.nodes import Node as Element
from fhir_server.fhirpath.operators import arithmetic, equality, logic, membership, ordering, union
from fhir_server.fhirpath.quantity import quantity
from fhir_server.fhirpath.temporal import parse_date, parse_date_time, parse_time
from fhir_server.fhirpath.typenames import Test, type_test
from fhir_server.fhirpath.values import system, type_name
from fhir_server.fhirpath.variables import external

Truth = Callable[[Any, Environment], bool | None]
Scalar = Callable[[Any, Environment], Any]

_TEMPORAL: dict[LiteralKind, Callable[[str], Any]] = {
    LiteralKind.DATE: parse_date,
    LiteralKind.DATE_TIME: parse_date_time,
    LiteralKind.TIME: parse_time,
}


class Compiler:
    """Compiles the parts of one expression.

    as_filters: whether `as` may meet several items, and keeps those of its type, as the search
        parameters and invariants of R4 use it against N1 section 6.3.
    """

    def __init__(self, source: str, *, as_filters: bool = False) -> None:
        self.source = source
        self.as_filters = as_filters

    def refuse(self, node: Node, problem: str) -> UnsupportedExpression:
        """The error for what can be seen to be wrong before evaluation."""
        return UnsupportedExpression(self.source, node.position, problem)

    def fault(self, node: Node, problem: str) -> FhirPathEvaluationError:
        """The error for values met during evaluation."""
        return FhirPathEvaluationError(self.source, node.position, problem)

    def code(self, node: Node) -> Code:
        """What `node` compiles to."""
        match node:
            case Member(_, None, name):
                return member(name)
            case Member(_, source, name):
                assert source is not None
                return member_of(self.code(source), name)
            case Call():
                return self._call(node)
            case Binary():
                return self._binary(node)
            case Literal():
                return constant(self._literal(node))
            case TypeOperation():
                return self._type_operation(node)
            case Indexer():
                return self._indexer(node)
        return self._small(node)

    def _small(self, node: Node) -> Code:
        match node:
            case Empty():
                return EMPTY
            case Variable(_, "this"):
                return FOCUS
            case Variable(_, "index"):
                return single(lambda _this, env: env.index)
            case Variable(_, "total"):
                return Code(lambda _this, env: env.total)
            case QuantityLiteral():
                return constant(quantity(node.value, node.unit))
            case ExternalConstant():
                return external(self, node)
            case Polarity():
                return self._polarity(node)
        raise self.refuse(node, f"{type(node).__name__} cannot stand here")

    def truth(self, node: Node) -> Truth:
        """`node` as a condition; more than one item is an error (N1 section 4.5)."""
        return self.truth_of(self.code(node), node)

    def truth_of(self, code: Code, node: Node) -> Truth:
        """Code as a condition."""
        one, items = code.one, code.items
        if one is not None:

            def of_one(this: Any, env: Environment) -> bool | None:
                value = one(this, env)
                if value is True or value is False or value is None:
                    return value
                return boolean(value)

            return of_one

        def of_many(this: Any, env: Environment) -> bool | None:
            found = items(this, env)
            if not found:
                return None
            if len(found) > 1:
                raise self.fault(node, f"Expected one boolean but found {len(found)} items")
            return boolean(found[0])

        return of_many

    def only(self, code: Code, node: Node) -> Scalar:
        """The System value of the only item, or None; more than one item is an error."""
        one, items, chain = code.one, code.items, code.chain
        if one is not None:
            return lambda this, env: system(one(this, env))
        if chain is not None:
            return self._only_of_chain(chain, self._only_of_items(items, node))
        return self._only_of_items(items, node)

    def _only_of_chain(self, chain: Chain, otherwise: Scalar) -> Scalar:
        def read(this: Any, env: Environment) -> Any:
            plan = chain.plan(this.kind) if this.__class__ is Element else None
            if plan is not None and plan.text:
                found = plan.walk(this.value)
                if len(found) == 1 and found[0].__class__ is str:
                    return found[0]
            return otherwise(this, env)

        return read

    def _only_of_items(self, items: Items, node: Node) -> Scalar:
        def read(this: Any, env: Environment) -> Any:
            found = items(this, env)
            if not found:
                return None
            if len(found) > 1:
                raise self.fault(node, f"Expected one item but found {len(found)}")
            return system(found[0])

        return read

    def scalar(self, code: Code, node: Node, types: tuple[type, ...], wanted: str) -> Scalar:
        """Like `only`, for values of certain types; `wanted` is how a message calls them."""
        only = self.only(code, node)

        def read(this: Any, env: Environment) -> Any:
            value = only(this, env)
            if value is None or value.__class__ in types:
                return value
            raise self.fault(node, f"Expected {wanted} but found {type_name(value)}")

        return read

    def type_test(self, specifier: TypeSpecifier) -> Test:
        """Whether an item is of a type; refused if there is none of that name."""
        test = type_test(specifier)
        if test is None:
            raise self.refuse(specifier, f"'{specifier.name}' is not the name of a type")
        return test

    def _literal(self, node: Literal) -> Any:
        parse = _TEMPORAL.get(node.kind)
        if parse is None:
            return node.value
        value = parse(str(node.value).removeprefix("T"))
        if value is None:
            problem = f"Expected a {node.kind.value} that exists but found '@{node.value}'"
            raise FhirPathSyntaxError(self.source, node.position, problem)
        return value

    def _call(self, node: Call) -> Code:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise self.refuse(node, f"There is no function {node.name}()")
        if not function.fewest <= len(node.arguments) <= function.most:
            few, most = function.fewest, function.most
            wanted = str(few) if few == most else f"{few} to {most}"
            problem = f"{node.name}() takes {wanted} arguments but was given {len(node.arguments)}"
            raise self.refuse(node, problem)
        source = FOCUS if node.source is None else self.code(node.source)
        return function.compile(self, node, source)

    def _binary(self, node: Binary) -> Code:
        operator = node.operator
        if operator in ("and", "or", "xor", "implies"):
            return logic(operator, self.truth(node.left), self.truth(node.right))
        if operator == "|":
            return union([self.code(side) for side in _sides(node)])
        left, right = self.code(node.left), self.code(node.right)
        if operator in ("=", "!=", "~", "!~"):
            return equality(operator, left, right, node)
        if operator in ORDERINGS:
            return ordering(self, node, left, right)
        if operator in OPERATORS:
            return arithmetic(self, node, left, right)
        return membership(self, node, left, right)

    def _polarity(self, node: Polarity) -> Code:
        operand = self.only(self.code(node.operand), node)

        def signed(this: Any, env: Environment) -> Any:
            value = operand(this, env)
            if value is None:
                return None
            try:
                opposite = negative(value)
            except Mismatch as mismatch:
                raise self.fault(node, str(mismatch)) from None
            return opposite if node.operator == "-" else value

        return single(signed)

    def _type_operation(self, node: TypeOperation) -> Code:
        call = Call(node.position, node.operand, node.operator, (_type_name(node.type),))
        return self._call(call)

    def _indexer(self, node: Indexer) -> Code:
        items = self.code(node.source).items
        index = self.scalar(self.code(node.index), node.index, (int,), "an index")

        def at(this: Any, env: Environment) -> Any:
            position = index(this, env)
            found = items(this, env)
            return found[position] if position is not None and 0 <= position < len(found) else None

        return single(at)


def _sides(node: Node) -> list[Node]:
    """What a chain of `|` unites."""
    sides = []
    while isinstance(node, Binary) and node.operator == "|":
        sides.append(node.right)
        node = node.left
    return [node, *reversed(sides)]


def _type_name(specifier: TypeSpecifier) -> Member:
    namespace = specifier.namespace
    source = None if namespace is None else Member(specifier.position, None, namespace)
    return Member(specifier.position, source, specifier.name)
