"""Parts of collections, and collections of collections (N1 sections 5.3 and 5.4)."""

from collections.abc import Iterator, Sequence
from functools import cmp_to_key
from itertools import islice
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.arithmetic import Mismatch, order_of
from fhir_server.fhirpath.ast import Call, Node, Polarity
from fhir_server.fhirpath.code import FOCUS, Code, lazy, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.registry import INTEGER, Function
from fhir_server.fhirpath.operators import union
from fhir_server.fhirpath.values import distinct, identity, system

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler


def _first(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    iterate = source.iterate
    return single(lambda this, env: next(iterate(this, env), None))


def _last(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def one(this: Any, env: Environment) -> Any:
        items = source.items(this, env)
        return items[-1] if items else None

    return single(one)


def _single(compiler: "Compiler", call: Call, source: Code) -> Code:
    def one(this: Any, env: Environment) -> Any:
        items = source.items(this, env)
        if len(items) > 1:
            raise compiler.fault(call, f"single() takes one item but found {len(items)}")
        return items[0] if items else None

    return single(one)


def _tail(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    items = source.items
    return Code(lambda this, env: items(this, env)[1:])


def _skip(compiler: "Compiler", call: Call, source: Code) -> Code:
    number = _number(compiler, call)

    def items(this: Any, env: Environment) -> Sequence[Any]:
        count = number(this, env)
        return () if count is None else source.items(this, env)[max(count, 0) :]

    return Code(items)


def _take(compiler: "Compiler", call: Call, source: Code) -> Code:
    number = _number(compiler, call)

    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        count = number(this, env)
        return islice(source.iterate(this, env), max(count or 0, 0))

    return lazy(iterate)


def _number(compiler: "Compiler", call: Call) -> Any:
    node = call.arguments[0]
    return compiler.scalar(compiler.code(node), node, INTEGER.types, INTEGER.wanted)


def _intersect(compiler: "Compiler", call: Call, source: Code) -> Code:
    other = compiler.code(call.arguments[0])

    def items(this: Any, env: Environment) -> Sequence[Any]:
        keys = {identity(item) for item in other.items(this, env)}
        return [i for i in distinct(source.items(this, env), env) if identity(i) in keys]

    return Code(items)


def _exclude(compiler: "Compiler", call: Call, source: Code) -> Code:
    other = compiler.code(call.arguments[0])

    def items(this: Any, env: Environment) -> Sequence[Any]:
        keys = {identity(item) for item in other.items(this, env)}
        found = source.items(this, env)
        env.charge(len(found))
        return [item for item in found if identity(item) not in keys]

    return Code(items)


def _union(compiler: "Compiler", call: Call, source: Code) -> Code:
    return union([source, compiler.code(call.arguments[0])])


def _combine(compiler: "Compiler", call: Call, source: Code) -> Code:
    other = compiler.code(call.arguments[0])

    def items(this: Any, env: Environment) -> Sequence[Any]:
        found = (*source.items(this, env), *other.items(this, env))
        env.charge(len(found))
        return found

    return Code(items)


def _sort(compiler: "Compiler", call: Call, source: Code) -> Code:
    """Later than N1: items by keys, in reverse after a minus sign; without a key they are last."""
    keys = [_sort_key(compiler, node) for node in call.arguments]
    keys = keys or [(compiler.only(FOCUS, call), 1)]

    def items(this: Any, env: Environment) -> Sequence[Any]:
        found = source.items(this, env)
        env.charge(len(found))
        rows = [([key(item, env) for key, _ in keys], item) for item in found]

        def compare(left: Any, right: Any) -> int:
            env.charge()
            for (_, sign), ours, theirs in zip(keys, left[0], right[0], strict=True):
                order = _order(compiler, call, ours, theirs)
                if order:
                    return sign * order
            return 0

        return [item for _, item in sorted(rows, key=cmp_to_key(compare))]

    return Code(items)


def _sort_key(compiler: "Compiler", node: Node) -> tuple[Any, int]:
    if isinstance(node, Polarity) and node.operator == "-":
        return compiler.only(compiler.code(node.operand), node), -1
    return compiler.only(compiler.code(node), node), 1


def _order(compiler: "Compiler", call: Call, left: Any, right: Any) -> int:
    if left is None or right is None:
        return (left is None) - (right is None)
    try:
        return order_of(system(left), system(right)) or 0
    except Mismatch as mismatch:
        raise compiler.fault(call, str(mismatch)) from None


FUNCTIONS = {
    "combine": Function(1, 1, _combine),
    "exclude": Function(1, 1, _exclude),
    "first": Function(0, 0, _first),
    "intersect": Function(1, 1, _intersect),
    "last": Function(0, 0, _last),
    "single": Function(0, 0, _single),
    "skip": Function(1, 1, _skip),
    "sort": Function(0, 20, _sort),
    "tail": Function(0, 0, _tail),
    "take": Function(1, 1, _take),
    "union": Function(1, 1, _union),
}
