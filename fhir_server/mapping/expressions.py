"""The language of conditions and sources in mapping rules: read into a tree.

PID-5.1                          a component; of a segment of this group, or of one around it
PID-3[2]   OBX-5[*]              the second repetition; all of them
.4   .4.2   .                    of the value in hand: a component, a subcomponent, itself
PV1                              a segment, as a condition: whether it is there
'text'   12                      constants
$event                           what is known of the message
PV1-45 valued                    whether something is there
= != < > <= >= in ('A', 'B')     comparisons of texts; < and the like of numbers
and  or  not  ( )
coalesce(ORC-2, OBR-2)           functions
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<path>[A-Z][A-Z0-9]{2}(?:-\d+(?:\[(?:\d+|\*)\])?(?:\.\d+){0,2})?(?![A-Za-z0-9_]))
    | (?P<relative>\.\d+(?:\.\d+)?|\.(?!\d))
    | (?P<number>\d+)
    | '(?P<text>(?:[^']|'')*)'
    | \$(?P<variable>[a-z_]+)
    | (?P<word>[a-z][a-z_]*)
    | (?P<symbol>!=|<=|>=|[=<>(),])
    )""",
    re.VERBOSE,
)
_COMPARISONS = frozenset({"=", "!=", "<", ">", "<=", ">="})
_RESERVED = frozenset({"and", "or", "not", "in", "valued"})


class ExpressionError(ValueError):
    """An expression that cannot be read; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value is. segment: None for the value in hand. field: 0 for the segment itself.

    repetition: 0 for the first, or for each where a rule takes each; -1 for all.
    """

    segment: str | None
    field: int = 0
    repetition: int = 0
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """A text, as it stands between quotes, or a number."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """What is known of the message: `$event`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Among:
    """Whether a value is one of several."""

    left: "Node"
    choices: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Valued:
    """Whether there is a value."""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Logic:
    """`and`, `or`, or `not` with one operand."""

    operator: str
    operands: tuple["Node", ...]


Node = Path | Constant | Variable | Call | Comparison | Among | Valued | Logic


def read(text: str) -> Node:
    """Read an expression. Raises ExpressionError."""
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._divide())
        self._at = 0

    def _divide(self) -> "list[tuple[str, str, int]]":
        found, at = [], 0
        end = len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                raise ExpressionError(f"{self._text!r}: {self._text[at:].strip()[:20]!r}: unknown")
            found.append((match.lastgroup, match[match.lastgroup], at))
            at = match.end()
        return found

    def whole(self) -> Node:
        node = self._or()
        if self._at < len(self._tokens):
            self._fail("an operator or the end")
        return node

    def _fail(self, expected: str) -> NoReturn:
        found = "the end"
        if self._at < len(self._tokens):
            found = repr(self._tokens[self._at][1])
        raise ExpressionError(f"{self._text!r}: found {found}, expected {expected}")

    def _take(self, kind: str, text: str | None = None) -> str | None:
        if self._at < len(self._tokens):
            found, value, _ = self._tokens[self._at]
            if found == kind and (text is None or value == text):
                self._at += 1
                return value
        return None

    def _need(self, symbol: str) -> None:
        if self._take("symbol", symbol) is None:
            self._fail(repr(symbol))

    def _or(self) -> Node:
        operands = [self._and()]
        while self._take("word", "or"):
            operands.append(self._and())
        return operands[0] if len(operands) == 1 else Logic("or", tuple(operands))

    def _and(self) -> Node:
        operands = [self._not()]
        while self._take("word", "and"):
            operands.append(self._not())
        return operands[0] if len(operands) == 1 else Logic("and", tuple(operands))

    def _not(self) -> Node:
        if self._take("word", "not"):
            return Logic("not", (self._not(),))
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._operand()
        if self._take("word", "valued"):
            return Valued(left)
        if self._take("word", "in"):
            self._need("(")
            return Among(left, self._arguments())
        if self._at < len(self._tokens):
            kind, value, _ = self._tokens[self._at]
            if kind == "symbol" and value in _COMPARISONS:
                self._at += 1
                return Comparison(value, left, self._operand())
        return left

    def _operand(self) -> Node:
        if self._take("symbol", "("):
            node = self._or()
            self._need(")")
            return node
        if self._at >= len(self._tokens):
            self._fail("a value")
        kind, value, _ = self._tokens[self._at]
        if kind == "symbol" or (kind == "word" and value in _RESERVED):
            self._fail("a value")
        self._at += 1
        match kind:
            case "path":
                return _path(value)
            case "relative":
                return Path(None, parts=tuple(int(each) for each in value.split(".") if each))
            case "number":
                return Constant(value)
            case "text":
                return Constant(value.replace("''", "'"))
            case "variable":
                return Variable(value)
        self._need("(")
        return Call(value, self._arguments())

    def _arguments(self) -> tuple[Node, ...]:
        if self._take("symbol", ")"):
            return ()
        found = [self._or()]
        while self._take("symbol", ","):
            found.append(self._or())
        self._need(")")
        return tuple(found)


def _path(text: str) -> Path:
    segment, _, rest = text.partition("-")
    if not rest:
        return Path(segment)
    field, *parts = rest.split(".")
    number, _, repetition = field.partition("[")
    each = repetition.rstrip("]")
    which = -1 if each == "*" else int(each or 0)
    return Path(segment, int(number), which, tuple(map(int, parts)))


def nodes(node: Node) -> Iterator[Node]:
    """A node and all within it."""
    yield node
    inner: tuple[Node, ...] = ()
    match node:
        case Call():
            inner = node.arguments
        case Comparison():
            inner = (node.left, node.right)
        case Among():
            inner = (node.left, *node.choices)
        case Valued():
            inner = (node.operand,)
        case Logic():
            inner = node.operands
    for each in inner:
        yield from nodes(each)


def paths(node: Node) -> list[Path]:
    """Every path in an expression: what it reads."""
    return [each for each in nodes(node) if isinstance(each, Path)]
