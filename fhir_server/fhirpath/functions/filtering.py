"""Functions that evaluate an expression for every item (N1 sections 5.2 and 7)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.registry import Function
from fhir_server.fhirpath.nodes import Node, children
from fhir_server.fhirpath.values import identity

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler


def matching(compiler: "Compiler", call: Call, source: Code) -> Code:
    """The items for which the argument is true."""
    condition = compiler.truth(call.arguments[0])

    def items(this: Any, env: Environment) -> Sequence[Any]:
        candidates = source.items(this, env)
        if not candidates:
            return ()
        env.charge(len(candidates))
        found = []
        outer = env.index
        for index, item in enumerate(candidates):
            env.index = index
            if condition(item, env) is True:
                found.append(item)
        env.index = outer
        return found

    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        for index, item in enumerate(source.iterate(this, env)):
            env.charge()
            outer, env.index = env.index, index
            holds = condition(item, env)
            env.index = outer
            if holds is True:
                yield item

    def present(this: Any, env: Environment) -> bool:
        return next(iterate(this, env), None) is not None

    return Code(items, iterate=iterate, present=present)


def _select(compiler: "Compiler", call: Call, source: Code) -> Code:
    projection = compiler.code(call.arguments[0]).items

    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        for index, item in enumerate(source.iterate(this, env)):
            outer, env.index = env.index, index
            projected = projection(item, env)
            env.index = outer
            env.charge(1 + len(projected))
            yield from projected

    def items(this: Any, env: Environment) -> Sequence[Any]:
        return list(iterate(this, env))

    return Code(items, iterate=iterate)


def _repeat(compiler: "Compiler", call: Call, source: Code) -> Code:
    projection = compiler.code(call.arguments[0]).items

    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        known = set()
        waiting = list(source.items(this, env))
        while waiting:
            found: list[Any] = []
            for index, item in enumerate(waiting):
                outer, env.index = env.index, index
                projected = projection(item, env)
                env.index = outer
                env.charge(1 + len(projected))
                found += projected
            waiting = []
            for item in found:
                key = identity(item)
                if key not in known:
                    known.add(key)
                    waiting.append(item)
                    yield item

    return Code(lambda this, env: list(iterate(this, env)), iterate=iterate)


def _aggregate(compiler: "Compiler", call: Call, source: Code) -> Code:
    step = compiler.code(call.arguments[0]).items
    start = compiler.code(call.arguments[1]).items if len(call.arguments) > 1 else None

    def items(this: Any, env: Environment) -> Sequence[Any]:
        total: Sequence[Any] = start(this, env) if start else ()
        for index, item in enumerate(source.iterate(this, env)):
            outer = env.index, env.total
            env.index, env.total = index, total
            total = step(item, env)
            env.index, env.total = outer
            env.charge(1 + len(total))
        return total

    return Code(items)


def _children(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        for item in source.iterate(this, env):
            if item.__class__ is Node:
                found = children(item)
                env.charge(len(found))
                yield from found

    return Code(lambda this, env: list(iterate(this, env)), iterate=iterate)


def _descendants(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        level: Sequence[Any] = source.items(this, env)
        while level:
            below: list[Node] = []
            for item in level:
                if item.__class__ is Node and (item.extra is not None or not item.kind.primitive):
                    found = children(item)
                    env.charge(len(found))
                    below += found
            yield from below
            level = below

    return Code(lambda this, env: list(iterate(this, env)), iterate=iterate)


FUNCTIONS = {
    "aggregate": Function(1, 2, _aggregate),
    "children": Function(0, 0, _children),
    "descendants": Function(0, 0, _descendants),
    "repeat": Function(1, 1, _repeat),
    "select": Function(1, 1, _select),
    "where": Function(1, 1, matching),
}
