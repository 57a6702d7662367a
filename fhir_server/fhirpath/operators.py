"""Operators as code: equality, order, logic, arithmetic, collections (N1 section 6)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.arithmetic import Mismatch, calculate, ordered
from fhir_server.fhirpath.ast import Binary, Literal, LiteralKind
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.values import (
    collections_equal,
    collections_equivalent,
    distinct,
    equal,
    identity,
)

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler, Truth


def equality(operator: str, left: Code, right: Code, node: Binary) -> Code:
    """`=`, `!=`, `~` and `!~` (N1 section 6.1)."""
    ours, theirs = left.items, right.items
    if operator in ("~", "!~"):
        negated = operator == "!~"

        def equivalent(this: Any, env: Environment) -> bool:
            same = collections_equivalent(ours(this, env), theirs(this, env), env)
            return same is not negated

        return single(equivalent)
    wanted = operator == "="
    if isinstance(node.right, Literal) and node.right.kind is LiteralKind.STRING:
        return _equals_text(left, str(node.right.value), wanted)

    def compared(this: Any, env: Environment) -> bool | None:
        found, other = ours(this, env), theirs(this, env)
        if len(found) == 1 and len(other) == 1:
            same = equal(found[0], other[0])
        else:
            env.charge(len(found))
            same = collections_equal(found, other)
        return None if same is None else same is wanted

    return single(compared)


def _equals_text(left: Code, text: str, wanted: bool) -> Code:
    items, chain = left.items, left.chain

    def compared(this: Any, env: Environment) -> bool | None:
        if chain is not None and this.__class__ is Node:
            plan = chain.plan(this.kind)
            if plan is not None and plan.text:
                values = plan.walk(this.value)
                if len(values) == 1 and values[0].__class__ is str:
                    return (values[0] == text) is wanted
        found = items(this, env)
        if not found:
            return None
        if len(found) > 1:
            return not wanted
        item = found[0]
        if item.__class__ is Node and item.kind.text:
            value = item.value
            return None if value.__class__ is not str else (value == text) is wanted
        same = equal(item, text)
        return None if same is None else same is wanted

    return single(compared)


def ordering(compiler: "Compiler", node: Binary, left: Code, right: Code) -> Code:
    """`<`, `<=`, `>` and `>=` (N1 section 6.2)."""
    ours, theirs = compiler.only(left, node.left), compiler.only(right, node.right)
    name = node.operator

    def compared(this: Any, env: Environment) -> bool | None:
        value, other = ours(this, env), theirs(this, env)
        if value is None or other is None:
            return None
        try:
            return ordered(name, value, other)
        except Mismatch as mismatch:
            raise compiler.fault(node, str(mismatch)) from None

    return single(compared)


def arithmetic(compiler: "Compiler", node: Binary, left: Code, right: Code) -> Code:
    """The operators that calculate; `&` takes what is empty as an empty string (N1 6.6)."""
    ours, theirs = compiler.only(left, node.left), compiler.only(right, node.right)
    name = node.operator
    joins = name == "&"

    def calculated(this: Any, env: Environment) -> Any:
        value, other = ours(this, env), theirs(this, env)
        if joins:
            value, other = "" if value is None else value, "" if other is None else other
        elif value is None or other is None:
            return None
        try:
            result = calculate(name, value, other)
        except Mismatch as mismatch:
            raise compiler.fault(node, str(mismatch)) from None
        return env.text(result) if result.__class__ is str else result

    return single(calculated)


def union(sides: Sequence[Code]) -> Code:
    """`|`: all sides without what is equal (N1 section 6.4.1)."""
    items_of = [side.items for side in sides]
    presents = [side.present for side in sides]

    def items(this: Any, env: Environment) -> Sequence[Any]:
        found: Sequence[Any] = ()
        for side in items_of:
            more = side(this, env)
            if more:
                found = (*found, *more) if found else more
        return found if len(found) < 2 else distinct(found, env)

    def present(this: Any, env: Environment) -> bool:
        return any(has(this, env) for has in presents)

    return Code(items, present=present)


def membership(compiler: "Compiler", node: Binary, left: Code, right: Code) -> Code:
    """`in` and `contains` (N1 section 6.4)."""
    sides = [(left, node.left), (right, node.right)]
    if node.operator == "contains":
        sides.reverse()
    (element, place), (collection, _) = sides

    def within(this: Any, env: Environment) -> bool | None:
        wanted = element.items(this, env)
        if not wanted:
            return None
        if len(wanted) > 1:
            raise compiler.fault(place, f"Expected one item but found {len(wanted)}")
        key = identity(wanted[0])
        return any(_matches(item, key, env) for item in collection.iterate(this, env))

    return single(within)


def _matches(item: Any, key: Any, env: Environment) -> bool:
    env.charge()
    return bool(identity(item) == key)


def logic(operator: str, left: "Truth", right: "Truth") -> Code:
    """`and`, `or`, `xor` and `implies` with three values (N1 section 6.5)."""
    return single(_LOGIC[operator](left, right))


def _and(left: "Truth", right: "Truth") -> "Truth":
    def both(this: Any, env: Environment) -> bool | None:
        ours = left(this, env)
        if ours is False:
            return False
        theirs = right(this, env)
        return False if theirs is False else ours and theirs

    return both


def _or(left: "Truth", right: "Truth") -> "Truth":
    def either(this: Any, env: Environment) -> bool | None:
        ours = left(this, env)
        if ours is True:
            return True
        theirs = right(this, env)
        if theirs is True:
            return True
        return None if ours is None or theirs is None else False

    return either


def _xor(left: "Truth", right: "Truth") -> "Truth":
    def one(this: Any, env: Environment) -> bool | None:
        ours, theirs = left(this, env), right(this, env)
        return None if ours is None or theirs is None else ours is not theirs

    return one


def _implies(left: "Truth", right: "Truth") -> "Truth":
    def implied(this: Any, env: Environment) -> bool | None:
        ours = left(this, env)
        if ours is False:
            return True
        theirs = right(this, env)
        return theirs if ours else (True if theirs is True else None)

    return implied


_LOGIC: dict[str, Callable[["Truth", "Truth"], "Truth"]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}
