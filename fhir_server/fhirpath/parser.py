"""Parses FHIRPath into a syntax tree: the whole grammar of FHIRPath 2.0.0 N1 (Appendix B)."""

from decimal import Decimal
from functools import lru_cache

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
from fhir_server.fhirpath.errors import FhirPathSyntaxError
from fhir_server.fhirpath.lexer import Token, TokenKind, tokenize

MAX_LENGTH = 20_000
MAX_DEPTH = 200
_MAX_NESTING = 60

# Binding power of the binary operators, loosest first (N1 section 6.8); all are left-associative.
_PRECEDENCE = {
    operator: power
    for power, operators in enumerate(
        (
            ("implies",),
            ("or", "xor"),
            ("and",),
            ("in", "contains"),
            ("=", "~", "!=", "!~"),
            ("<=", "<", ">", ">="),
            ("|",),
            ("is", "as"),
            ("+", "-", "&"),
            ("*", "/", "div", "mod"),
        ),
        start=1,
    )
    for operator in operators
}
_LOOSEST = 1
# Keywords the grammar also accepts as names of elements and functions.
_SOFT_KEYWORDS = frozenset({"as", "contains", "in", "is"})
# A name after a dot too, where no operator can stand: FHIR writes Patient.text.div.
_NARRATIVE = "div"
_KEYWORDS = (
    frozenset(operator for operator in _PRECEDENCE if operator.isalpha()) - _SOFT_KEYWORDS
) | {"true", "false"}
_CALENDAR_UNITS = {
    name: unit
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for name in (unit, unit + "s")
}
_TEMPORAL = {
    TokenKind.DATE: LiteralKind.DATE,
    TokenKind.DATE_TIME: LiteralKind.DATE_TIME,
    TokenKind.TIME: LiteralKind.TIME,
}


@lru_cache(maxsize=4096)
def parse(source: str) -> Node:
    """The syntax tree of `source`.

    Raises `FhirPathSyntaxError` with the position and what was expected there; also for text longer
    than `MAX_LENGTH` and for trees deeper than `MAX_DEPTH`.
    """
    if len(source) > MAX_LENGTH:
        problem = f"The expression has {len(source)} characters, more than {MAX_LENGTH}"
        raise FhirPathSyntaxError(source, 0, problem)
    tree = _Parser(source).whole()
    _refuse_deep(source, tree)
    return tree


def _refuse_deep(source: str, tree: Node) -> None:
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node.children()]
        if not level:
            return
    raise FhirPathSyntaxError(source, 0, f"The expression is nested deeper than {MAX_DEPTH} levels")


class _Parser:
    """Precedence climbing over a token list."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokenize(source)
        self._next = 0
        self._nesting = 0

    def whole(self) -> Node:
        tree = self._expression(_LOOSEST)
        if self._peek.kind is not TokenKind.END:
            raise self._expected("an operator or the end of the expression")
        return tree

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _at(self, symbol: str, ahead: int = 0) -> bool:
        index = min(self._next + ahead, len(self._tokens) - 1)
        token = self._tokens[index]
        return token.kind is TokenKind.SYMBOL and token.text == symbol

    def _require(self, symbol: str) -> None:
        if not self._at(symbol):
            raise self._expected(f"'{symbol}'")
        self._next += 1

    def _expected(self, what: str) -> FhirPathSyntaxError:
        token = self._peek
        problem = f"Expected {what} but found {token}"
        return FhirPathSyntaxError(self._source, token.position, problem)

    def _expression(self, loosest: int) -> Node:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            problem = f"More than {_MAX_NESTING} expressions are nested in each other"
            raise FhirPathSyntaxError(self._source, self._peek.position, problem)
        tree = self._operations(self._operand(), loosest)
        self._nesting -= 1
        return tree

    def _operations(self, left: Node, loosest: int) -> Node:
        while True:
            operator = self._peek
            power = self._power(operator)
            if power < loosest:
                return left
            self._next += 1
            if operator.text in ("is", "as"):
                specifier = self._type_specifier()
                operation = TypeOperation(operator.position, operator.text, left, specifier)
                left = self._suffixes(operation)
            else:
                right = self._expression(power + 1)
                left = Binary(operator.position, operator.text, left, right)

    def _power(self, token: Token) -> int:
        if token.kind in (TokenKind.SYMBOL, TokenKind.IDENTIFIER):
            return _PRECEDENCE.get(token.text, 0)
        return 0

    def _operand(self) -> Node:
        if self._at("+") or self._at("-"):
            sign = self._take()
            self._nesting += 1
            if self._nesting > _MAX_NESTING:
                raise self._expected("fewer signs in a row")
            operand = self._operand()
            self._nesting -= 1
            return Polarity(sign.position, sign.text, operand)
        return self._suffixes(self._term())

    def _suffixes(self, tree: Node) -> Node:
        while True:
            if self._at("."):
                self._next += 1
                tree = self._invocation(tree)
            elif self._at("["):
                position = self._take().position
                index = self._expression(_LOOSEST)
                self._require("]")
                tree = Indexer(position, tree, index)
            else:
                return tree

    def _term(self) -> Node:
        token = self._peek
        match token.kind:
            case TokenKind.NUMBER:
                return self._number()
            case TokenKind.STRING:
                self._next += 1
                return Literal(token.position, LiteralKind.STRING, token.text)
            case TokenKind.DATE | TokenKind.DATE_TIME | TokenKind.TIME:
                self._next += 1
                return Literal(token.position, _TEMPORAL[token.kind], token.text)
            case TokenKind.IDENTIFIER if token.text in ("true", "false"):
                self._next += 1
                return Literal(token.position, LiteralKind.BOOLEAN, token.text == "true")
            case TokenKind.SYMBOL:
                return self._symbol_term()
        return self._invocation(None)

    def _symbol_term(self) -> Node:
        if self._at("("):
            self._next += 1
            tree = self._expression(_LOOSEST)
            self._require(")")
            return tree
        if self._at("{"):
            position = self._take().position
            self._require("}")
            return Empty(position)
        if self._at("%"):
            position = self._take().position
            if self._peek.kind is TokenKind.STRING:
                return ExternalConstant(position, self._take().text)
            return ExternalConstant(position, self._identifier("a name after '%'").text)
        raise self._expected("an expression")

    def _number(self) -> Node:
        token = self._take()
        unit = self._peek
        if unit.kind is TokenKind.STRING:
            self._next += 1
            return QuantityLiteral(token.position, Decimal(token.text), unit.text, calendar=False)
        if unit.kind is TokenKind.IDENTIFIER and unit.text in _CALENDAR_UNITS:
            self._next += 1
            calendar_unit = _CALENDAR_UNITS[unit.text]
            return QuantityLiteral(
                token.position, Decimal(token.text), calendar_unit, calendar=True
            )
        if "." in token.text:
            return Literal(token.position, LiteralKind.DECIMAL, Decimal(token.text))
        return Literal(token.position, LiteralKind.INTEGER, _integer(token.text))

    def _invocation(self, source: Node | None) -> Node:
        token = self._peek
        if token.kind is TokenKind.VARIABLE:
            if source is not None:
                raise self._expected("the name of an element or function after '.'")
            self._next += 1
            return Variable(token.position, token.text)
        if source is not None and token.kind is TokenKind.IDENTIFIER and token.text == _NARRATIVE:
            name = self._take()
        else:
            expected = "the name of an element or function after '.'" if source else "an expression"
            name = self._identifier(expected)
        if not self._at("("):
            return Member(name.position, source, name.text)
        self._next += 1
        arguments = self._arguments()
        return Call(name.position, source, name.text, arguments)

    def _arguments(self) -> tuple[Node, ...]:
        arguments: list[Node] = []
        if not self._at(")"):
            arguments.append(self._expression(_LOOSEST))
            while self._at(","):
                self._next += 1
                arguments.append(self._expression(_LOOSEST))
        if not self._at(")"):
            raise self._expected("',' or ')'")
        self._next += 1
        return tuple(arguments)

    def _type_specifier(self) -> TypeSpecifier:
        first = self._identifier("the name of a type")
        # What follows the dot may be a function of the operation's result instead.
        if self._at(".") and not self._at("(", ahead=2):
            self._next += 1
            name = self._identifier("the name of a type")
            return TypeSpecifier(first.position, first.text, name.text)
        return TypeSpecifier(first.position, None, first.text)

    def _identifier(self, expected: str) -> Token:
        token = self._peek
        if token.kind is TokenKind.DELIMITED_IDENTIFIER:
            return self._take()
        if token.kind is TokenKind.IDENTIFIER and token.text not in _KEYWORDS:
            return self._take()
        raise self._expected(expected)


def _integer(digits: str) -> int:
    # `int` refuses very long texts; a Decimal of any length converts without that limit.
    return int(Decimal(digits))
