from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from fhir_server.fhirpath.parser import MAX_DEPTH, MAX_LENGTH, parse


def member(*names: str) -> Node:
    tree: Node | None = None
    for name in names:
        tree = Member(0, tree, name)
    assert tree is not None
    return tree


def integer(value: int) -> Literal:
    return Literal(0, LiteralKind.INTEGER, value)


def string(value: str) -> Literal:
    return Literal(0, LiteralKind.STRING, value)


A, B, C = member("a"), member("b"), member("c")


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("true", Literal(0, LiteralKind.BOOLEAN, True)),
        ("42", integer(42)),
        ("1.50", Literal(0, LiteralKind.DECIMAL, Decimal("1.50"))),
        ("'x'", string("x")),
        ("@2015-02", Literal(0, LiteralKind.DATE, "2015-02")),
        ("@2015T", Literal(0, LiteralKind.DATE_TIME, "2015T")),
        ("@T10:00", Literal(0, LiteralKind.TIME, "T10:00")),
        ("4 days", QuantityLiteral(0, Decimal(4), "day", calendar=True)),
        ("4.5 'mg'", QuantityLiteral(0, Decimal("4.5"), "mg", calendar=False)),
        ("{}", Empty(0)),
        ("%resource", ExternalConstant(0, "resource")),
        ("%'vs-name'", ExternalConstant(0, "vs-name")),
        ("%`ext-name`", ExternalConstant(0, "ext-name")),
        ("$index", Variable(0, "index")),
    ],
)
def test_a_literal_keeps_its_kind_and_precision(source: str, tree: Node) -> None:
    assert parse(source) == tree


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("Patient.name.given", member("Patient", "name", "given")),
        ("`div`.`PID-1`", member("div", "PID-1")),
        ("contains.as.is.in", member("contains", "as", "is", "in")),
        ("day", member("day")),
        ("a[0]", Indexer(0, A, integer(0))),
        ("a.b[1].c", Member(0, Indexer(0, member("a", "b"), integer(1)), "c")),
        ("f()", Call(0, None, "f", ())),
        ("a.where(b = 'x')", Call(0, A, "where", (Binary(0, "=", B, string("x")),))),
        ("iif(a, b, c)", Call(0, None, "iif", (A, B, C))),
        ("a.as(b)", Call(0, A, "as", (B,))),
    ],
)
def test_a_path_is_read_from_left_to_right(source: str, tree: Node) -> None:
    assert parse(source) == tree


@pytest.mark.parametrize(
    ("source", "same_as"),
    [
        ("a implies b or c", "a implies (b or c)"),
        ("a or b and c", "a or (b and c)"),
        ("a xor b or c", "(a xor b) or c"),
        ("a and b in c", "a and (b in c)"),
        ("a in b = c", "a in (b = c)"),
        ("a = b < c", "a = (b < c)"),
        ("a < b | c", "a < (b | c)"),
        ("a | b is c", "a | (b is c)"),
        ("a is b + c", "(a is b) + c"),
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a & b + c", "(a & b) + c"),
        ("a div b mod c", "(a div b) mod c"),
        ("text.div div a", "(text.`div`) div a"),
        ("-a * b", "(-a) * b"),
        ("-a.b", "-(a.b)"),
        ("a implies b implies c", "(a implies b) implies c"),
        ("a !~ b ~ c", "(a !~ b) ~ c"),
    ],
)
def test_operators_bind_by_precedence_and_to_the_left(source: str, same_as: str) -> None:
    assert parse(source) == parse(same_as)


def test_a_sign_is_an_operator_of_its_own() -> None:
    assert parse("1 - -2") == Binary(0, "-", integer(1), Polarity(0, "-", integer(2)))


def test_a_type_operation_names_a_type_and_may_go_on() -> None:
    quantity = TypeSpecifier(0, None, "Quantity")
    operation = TypeOperation(0, "as", A, quantity)
    assert parse("a as Quantity") == operation
    assert parse("(a as Quantity).unit") == Member(0, operation, "unit")
    assert parse("a as FHIR.Quantity") == TypeOperation(
        0, "as", A, TypeSpecifier(0, "FHIR", "Quantity")
    )
    assert parse("a as Quantity.exists()") == Call(0, operation, "exists", ())


def test_nodes_know_their_position() -> None:
    tree = parse("  a.b | c")
    assert isinstance(tree, Binary)
    assert (tree.position, tree.left.position, tree.right.position) == (6, 4, 8)


@pytest.mark.parametrize(
    ("source", "position", "expected"),
    [
        ("", 0, "Expected an expression but found the end"),
        ("a.", 2, "Expected the name of an element or function after '.'"),
        ("a b", 2, "Expected an operator or the end of the expression but found 'b'"),
        ("a.where(b", 9, "Expected ',' or ')'"),
        ("a[1", 3, "Expected ']'"),
        ("(a", 2, "Expected ')'"),
        ("{a", 1, "Expected '}'"),
        ("a and", 5, "Expected an expression"),
        ("a is 1", 5, "Expected the name of a type"),
        ("a.$this", 2, "Expected the name of an element"),
        ("and", 0, "Expected an expression but found 'and'"),
        ("%", 1, "Expected a name after '%'"),
        ("1 +\n)", 4, "Expected an expression but found ')'"),
    ],
)
def test_an_error_says_where_and_what_was_expected(
    source: str, position: int, expected: str
) -> None:
    with pytest.raises(FhirPathSyntaxError) as refused:
        parse(source)
    assert refused.value.position == position
    assert expected in str(refused.value)


def test_an_error_counts_lines_and_columns_from_one() -> None:
    with pytest.raises(FhirPathSyntaxError, match="line 2, column 3"):
        parse("a or\nb )")


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5000 + "a" + ")" * 5000,
        "-" * 5000 + "1",
        "a" + ".b" * 5000,
        "a" + " | b" * 4000,
        "f(" * 3000 + ")" * 3000,
        "a[" * 5000,
    ],
)
def test_depth_is_bounded(source: str) -> None:
    with pytest.raises(FhirPathSyntaxError, match=r"nested|fewer signs"):
        parse(source)


def test_depth_and_length_are_allowed_up_to_the_bound() -> None:
    assert parse("a" + ".b" * (MAX_DEPTH - 1))
    with pytest.raises(FhirPathSyntaxError, match="characters"):
        parse("a" * (MAX_LENGTH + 1))


_NAMES = ["a", "Patient", "where", "is", "as", "in", "contains", "and", "or", "implies", "div"]
_LITERALS = ["1", "2.5", "'x'", "`y`", "@2015", "@2015-02-04T", "@T10", "day", "true", "$this"]
_SYMBOLS = [*".()[]{},|&+-*/=~<>%", "!=", "!~", "<=", ">=", "//", "/*"]
_PIECES = st.sampled_from(_NAMES + _LITERALS + _SYMBOLS)


@given(st.one_of(st.lists(_PIECES, max_size=25).map(" ".join), st.text(max_size=60)))
def test_any_text_is_either_parsed_or_refused_as_syntax(source: str) -> None:
    try:
        tree = parse(source)
    except FhirPathSyntaxError as refused:
        position = refused.position
    else:
        position = tree.position
    assert 0 <= position <= len(source)
