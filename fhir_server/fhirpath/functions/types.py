"""Types as functions: `is`, `as`, `ofType`, `type` (N1 sections 5.2.4, 6.3 and 10.2)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Call, TypeSpecifier
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.registry import Function
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.references import target_type
from fhir_server.fhirpath.specifiers import type_specifier
from fhir_server.fhirpath.typeinfo import TypeInfo
from fhir_server.fhirpath.values import system_name

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler
    from fhir_server.fhirpath.typenames import Test


def _is(compiler: "Compiler", call: Call, source: Code) -> Code:
    named = type_specifier(call, compiler.refuse)
    test = compiler.type_test(named)
    points = _reference_test(compiler, call.source, named) if call.source else None

    def one(this: Any, env: Environment) -> bool | None:
        items = source.items(this, env)
        if not items:
            return points(this, env) if points else None
        if len(items) > 1:
            raise compiler.fault(call, f"is takes one item but found {len(items)}")
        return test(items[0])

    return single(one)


def _reference_test(compiler: "Compiler", node: Any, named: TypeSpecifier) -> Any:
    """What the text of a reference says about a target that nobody can read."""
    if not isinstance(node, Call) or node.name != "resolve":
        return None
    references = compiler.code(node.source).items if node.source else None
    tested = type_of(named.name)

    def points(this: Any, env: Environment) -> bool | None:
        items = references(this, env) if references else (this,)
        if len(items) != 1 or items[0].__class__ is not Node or items[0].value is None:
            return None
        target = target_type(items[0].value, items[0].resource().value)
        return None if target is None else tested(target)

    return points


def type_of(name: str) -> "Test":
    """Whether the type of a name is `name` or derives from it."""
    from fhir_server.fhirpath.model import node_type

    def derives(other: Any) -> bool:
        kind = node_type(other)
        return kind is not None and name in kind.bases

    return derives


def _of_type(compiler: "Compiler", call: Call, source: Code) -> Code:
    test = compiler.type_test(type_specifier(call, compiler.refuse))
    items_of, iterate_of = source.items, source.iterate

    def items(this: Any, env: Environment) -> Sequence[Any]:
        return [item for item in items_of(this, env) if test(item)]

    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        return filter(test, iterate_of(this, env))

    def present(this: Any, env: Environment) -> bool:
        return any(map(test, iterate_of(this, env)))

    return Code(items, iterate=iterate, present=present)


def _as(compiler: "Compiler", call: Call, source: Code) -> Code:
    if compiler.as_filters:
        return _of_type(compiler, call, source)
    test = compiler.type_test(type_specifier(call, compiler.refuse))

    def one(this: Any, env: Environment) -> Any:
        items = source.items(this, env)
        if len(items) > 1:
            raise compiler.fault(call, f"as takes one item but found {len(items)}; see ofType()")
        return items[0] if items and test(items[0]) else None

    return single(one)


def _type(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    items = source.items
    return Code(lambda this, env: [type_info(item) for item in items(this, env)])


def type_info(item: Any) -> TypeInfo:
    """What `type()` gives for an item."""
    if item.__class__ is Node:
        return TypeInfo("FHIR", item.kind.name)
    return TypeInfo("System", system_name(item))


FUNCTIONS = {
    "as": Function(1, 1, _as),
    "is": Function(1, 1, _is),
    "ofType": Function(1, 1, _of_type),
    "type": Function(0, 0, _type),
}
