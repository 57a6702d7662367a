"""Expressions as closures: compiled once, called for each message."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_server.mapping.expressions import (
    Among,
    Call,
    Comparison,
    Constant,
    ExpressionError,
    Logic,
    Node,
    Path,
    Valued,
    Variable,
    read,
)
from fhir_server.mapping.functions import FUNCTIONS
from fhir_server.mapping.scope import Item, Scope
from fhir_server.mapping.values import Segment, Value

# A value, a text, a truth value, or None for nothing.
One = Callable[[Scope], Any]
Each = Callable[[Scope], list[Any]]

VARIABLES = frozenset({"type", "event", "structure", "version", "control_id", "time",
                       "application", "facility", "role", "group"})  # fmt: skip


def text_of(item: Any) -> str:
    """The text of a value; empty for nothing."""
    if isinstance(item, Value):
        return item.plain
    return "" if item is None or item is False else str(item)


def compile_one(text: str) -> One:
    """An expression as a function that gives one value. Raises ExpressionError."""
    return _one(read(text))


def compile_each(text: str) -> Each:
    """An expression as a function that gives all its values: the repetitions of a field."""
    return _each(read(text))


def compile_condition(text: str) -> Callable[[Scope], bool]:
    """An expression as a condition; a value is true if it is there."""
    return _truth(read(text))


def _truth(node: Node) -> Callable[[Scope], bool]:
    one = _one(node)
    return lambda scope: bool(one(scope))


def _each(node: Node) -> Each:
    if isinstance(node, Path) and node.segment is not None and node.field:
        return _repetitions(node)
    if isinstance(node, Call) and node.name == "all":
        one = _one(node)
        return lambda scope: one(scope) or []
    one = _one(node)

    def single(scope: Scope) -> list[Any]:
        found = one(scope)
        return [] if found is None or found == "" or found is False else [found]

    return single


def _one(node: Node) -> One:
    match node:
        case Path():
            return _path(node)
        case Constant(text):
            return lambda scope: text
        case Variable(name):
            return _variable(name)
        case Call():
            return _call(node)
        case Comparison():
            return _comparison(node)
        case Among():
            return _among(node)
        case Valued(operand):
            return _valued(operand)
    return _logic(node)


def _text(node: Node) -> Callable[[Scope], str]:
    """The text of a node; of a path without making what lies on the way."""
    if isinstance(node, Constant):
        constant = node.text
        return lambda scope: constant
    if isinstance(node, Path) and node.segment and node.field and node.repetition >= 0:
        name, place = node.segment, (node.field, max(node.repetition, 1), *node.parts)

        def text(scope: Scope) -> str:
            segment = scope.find(name)
            return segment.text(place) if segment is not None else ""

        return text
    one = _one(node)
    return lambda scope: text_of(one(scope))


def _among(node: Among) -> One:
    value = _text(node.left)
    constants = [each.text for each in node.choices if isinstance(each, Constant)]
    if len(constants) == len(node.choices):
        among = frozenset(constants)
        return lambda scope: value(scope) in among
    chosen = [_text(each) for each in node.choices]
    return lambda scope: value(scope) in [each(scope) for each in chosen]


def _valued(node: Node) -> One:
    if isinstance(node, Path) and node.segment and node.field and not node.parts:
        name, field = node.segment, node.field
        if node.repetition <= 0:

            def has(scope: Scope) -> bool:
                segment = scope.find(name)
                return segment is not None and segment.has(field)

            return has
    if isinstance(node, Path) and node.segment is None and len(node.parts) == 1:
        number = node.parts[0]
        return lambda scope: has_part(scope.value, number)
    inner = _one(node)
    return lambda scope: bool(_is_valued(inner(scope)))


def has_part(value: Item | None, number: int) -> bool:
    """Whether a part of a value says something."""
    if not isinstance(value, Value):
        return number == 1 and bool(value)
    parts = value.parts
    return number <= len(parts) and parts[number - 1] not in ("", '""')


def _is_valued(found: Any) -> bool:
    return isinstance(found, (Value, Segment)) or bool(found)


def _logic(node: Logic) -> One:
    operands = [_one(each) for each in node.operands]
    if node.operator == "not":
        operand = operands[0]
        return lambda scope: not operand(scope)
    first, second = (*operands, *operands)[:2]
    if len(operands) == 2:
        if node.operator == "and":
            return lambda scope: bool(first(scope) and second(scope))
        return lambda scope: bool(first(scope) or second(scope))
    if node.operator == "and":
        return lambda scope: all(each(scope) for each in operands)
    return lambda scope: any(each(scope) for each in operands)


def _variable(name: str) -> One:
    if name not in VARIABLES:
        raise ExpressionError(f"${name}: expected one of {', '.join(sorted(VARIABLES))}")
    if name == "group":
        return lambda scope: scope.group.name
    return lambda scope: scope.run.variables.get(name, "")


def _comparison(node: Comparison) -> One:
    left, right, operator = _text(node.left), _text(node.right), node.operator
    if operator == "=":
        return lambda scope: left(scope) == right(scope)
    if operator == "!=":
        return lambda scope: left(scope) != right(scope)
    compare: dict[str, Callable[[Decimal, Decimal], bool]] = {
        "<": lambda a, b: a < b,
        ">": lambda a, b: a > b,
        "<=": lambda a, b: a <= b,
        ">=": lambda a, b: a >= b,
    }
    holds = compare[operator]

    def numeric(scope: Scope) -> bool:
        try:
            return holds(Decimal(left(scope)), Decimal(right(scope)))
        except InvalidOperation:
            return False

    return numeric


def _path(path: Path) -> One:
    if path.segment is None:
        return _relative(path.parts)
    name = path.segment
    if not path.field:
        return lambda scope: scope.find(name)
    if path.repetition < 0:
        return _repetitions(path)
    field, at, parts = path.field, max(path.repetition, 1) - 1, path.parts

    def get(scope: Scope) -> Item | None:
        segment = scope.find(name)
        if segment is None or field >= len(segment.fields):
            return None
        read = segment.field(field)
        if len(read) <= at:
            return None
        return _down(read[at], parts) if parts else read[at]

    return get


def _repetitions(path: Path) -> Each:
    name, field, at, parts = path.segment or "", path.field, path.repetition, path.parts

    def get(scope: Scope) -> list[Any]:
        segment = scope.find(name)
        if segment is None or field >= len(segment.fields):
            return []
        read = segment.field(field)
        if at > 0:
            read = read[at - 1 : at]
        if not parts:
            return read
        return [found for each in read if (found := _down(each, parts)) is not None]

    return get


def _relative(parts: tuple[int, ...]) -> One:
    if not parts:
        return lambda scope: scope.value

    def get(scope: Scope) -> Item | None:
        value = scope.value
        if isinstance(value, Value):
            return _down(value, parts)
        return value if parts[0] == 1 else None

    return get


def _down(value: Value, parts: tuple[int, ...]) -> Value | None:
    found: Value | None = value
    for number in parts:
        if found is None:
            return None
        found = found.part(number)
    return found


def _call(node: Call) -> One:
    if node.name not in FUNCTIONS:
        known = ", ".join(sorted(FUNCTIONS))
        raise ExpressionError(f"{node.name}(): no such function; there are {known}")
    least, most, function, kind = FUNCTIONS[node.name]
    given = len(node.arguments)
    if given < least or (most is not None and given > most):
        wanted = str(least) if least == most else f"{least} to {most or 'any number'}"
        raise ExpressionError(f"{node.name}(): {given} arguments; expected {wanted}")
    if kind == "path":
        return _on_path(node, function)
    if node.name == "matches" and isinstance(node.arguments[1], Constant):
        return _matches(node.arguments[0], node.arguments[1].text)
    arguments = [_one(each) for each in node.arguments]
    if kind == "lazy":
        return lambda scope: function(scope, arguments)
    if len(arguments) == 1:
        only = arguments[0]
        return lambda scope: function(scope, only(scope))
    return lambda scope: function(scope, *[each(scope) for each in arguments])


def _matches(operand: Node, pattern: str) -> One:
    """A comparison with a pattern that is known beforehand."""
    try:
        matches = re.compile(pattern).fullmatch
    except re.error as error:
        raise ExpressionError(f"matches(): {pattern!r} is no pattern: {error}") from None
    value = _text(operand)
    return lambda scope: matches(value(scope)) is not None


def _on_path(node: Call, function: Callable[..., Any]) -> One:
    """A function of a field as a whole, in each segment of its name."""
    path = node.arguments[0]
    if not isinstance(path, Path) or path.segment is None:
        raise ExpressionError(f"{node.name}(): expected a path such as OBX-5")
    return lambda scope: function(scope, path)
