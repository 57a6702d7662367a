"""Whether there is something, and whether it is all so (N1 section 5.1)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, boolean, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.filtering import matching
from fhir_server.fhirpath.functions.registry import Function
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.values import distinct, identity

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler


def _exists(compiler: "Compiler", call: Call, source: Code) -> Code:
    found = matching(compiler, call, source) if call.arguments else source
    return single(found.present)


def _empty(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    present = source.present
    return single(lambda this, env: not present(this, env))


def _not(compiler: "Compiler", call: Call, source: Code) -> Code:
    truth = compiler.truth_of(source, call)

    def negated(this: Any, env: Environment) -> bool | None:
        value = truth(this, env)
        return None if value is None else not value

    return single(negated)


def _all(compiler: "Compiler", call: Call, source: Code) -> Code:
    condition, iterate = compiler.truth(call.arguments[0]), source.iterate

    def one(this: Any, env: Environment) -> bool:
        for index, item in enumerate(iterate(this, env)):
            env.charge()
            outer, env.index = env.index, index
            holds = condition(item, env)
            env.index = outer
            if holds is not True:
                return False
        return True

    return single(one)


def _each(wanted: bool, otherwise: bool) -> Callable[["Compiler", Call, Code], Code]:
    """Whether an item is `wanted`: then the result is `otherwise`'s opposite."""

    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        def one(this: Any, env: Environment) -> bool:
            values = [_boolean(compiler, call, item) for item in source.items(this, env)]
            return (wanted in values) is not otherwise

        return single(one)

    return compiled


def _boolean(compiler: "Compiler", call: Call, item: Any) -> bool | None:
    if item.__class__ is bool or (item.__class__ is Node and item.kind.name == "boolean"):
        return boolean(item)
    raise compiler.fault(call, f"{call.name}() takes booleans only")


def _keys(items: Sequence[Any], env: Environment) -> set[Any]:
    env.charge(len(items))
    return {identity(item) for item in items}


def _subset_of(compiler: "Compiler", call: Call, source: Code) -> Code:
    other = compiler.code(call.arguments[0])
    return single(
        lambda this, env: _keys(source.items(this, env), env) <= _keys(other.items(this, env), env)
    )


def _superset_of(compiler: "Compiler", call: Call, source: Code) -> Code:
    other = compiler.code(call.arguments[0])
    return single(
        lambda this, env: _keys(source.items(this, env), env) >= _keys(other.items(this, env), env)
    )


def _count(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    items = source.items
    return single(lambda this, env: len(items(this, env)))


def _distinct(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    items, present = source.items, source.present
    return Code(lambda this, env: distinct(items(this, env), env), present=present)


def _is_distinct(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def one(this: Any, env: Environment) -> bool:
        items = source.items(this, env)
        return len(items) < 2 or len(_keys(items, env)) == len(items)

    return single(one)


FUNCTIONS = {
    "all": Function(1, 1, _all),
    "allFalse": Function(0, 0, _each(wanted=True, otherwise=True)),
    "allTrue": Function(0, 0, _each(wanted=False, otherwise=True)),
    "anyFalse": Function(0, 0, _each(wanted=False, otherwise=False)),
    "anyTrue": Function(0, 0, _each(wanted=True, otherwise=False)),
    "count": Function(0, 0, _count),
    "distinct": Function(0, 0, _distinct),
    "empty": Function(0, 0, _empty),
    "exists": Function(0, 1, _exists),
    "isDistinct": Function(0, 0, _is_distinct),
    "not": Function(0, 0, _not),
    "subsetOf": Function(1, 1, _subset_of),
    "supersetOf": Function(1, 1, _superset_of),
}
