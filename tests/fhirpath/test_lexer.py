import pytest

from fhir_server.fhirpath.errors import FhirPathSyntaxError
from fhir_server.fhirpath.lexer import TokenKind, tokenize


def kinds_and_texts(source: str) -> list[tuple[TokenKind, str]]:
    return [(token.kind, token.text) for token in tokenize(source)[:-1]]


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("name", TokenKind.IDENTIFIER, "name"),
        ("_id2", TokenKind.IDENTIFIER, "_id2"),
        ("`PID-1`", TokenKind.DELIMITED_IDENTIFIER, "PID-1"),
        (r"`a\`b`", TokenKind.DELIMITED_IDENTIFIER, "a`b"),
        ("'it'", TokenKind.STRING, "it"),
        (r"'\'\"\`\\\/'", TokenKind.STRING, "'\"`\\/"),
        (r"'\r\n\t\f'", TokenKind.STRING, "\r\n\t\f"),
        (r"'\u00e9'", TokenKind.STRING, "é"),
        ("12", TokenKind.NUMBER, "12"),
        ("12.50", TokenKind.NUMBER, "12.50"),
        ("@2015", TokenKind.DATE, "2015"),
        ("@2015-02", TokenKind.DATE, "2015-02"),
        ("@2015-02-04", TokenKind.DATE, "2015-02-04"),
        ("@2015T", TokenKind.DATE_TIME, "2015T"),
        ("@2015-02-04T14", TokenKind.DATE_TIME, "2015-02-04T14"),
        ("@2015-02-04T14:34:28.123+09:00", TokenKind.DATE_TIME, "2015-02-04T14:34:28.123+09:00"),
        ("@2015-02-04T14:34Z", TokenKind.DATE_TIME, "2015-02-04T14:34Z"),
        ("@T14:34", TokenKind.TIME, "T14:34"),
        ("@T14:34:28.5", TokenKind.TIME, "T14:34:28.5"),
        ("$this", TokenKind.VARIABLE, "this"),
        ("!~", TokenKind.SYMBOL, "!~"),
        (">=", TokenKind.SYMBOL, ">="),
    ],
)
def test_a_token_has_its_kind_and_unescaped_text(source: str, kind: TokenKind, text: str) -> None:
    assert kinds_and_texts(source) == [(kind, text)]


def test_space_and_comments_separate_tokens_and_vanish() -> None:
    source = "a // to the end\n + /* across\n lines */ b"
    assert [text for _, text in kinds_and_texts(source)] == ["a", "+", "b"]


def test_a_token_knows_where_it_begins() -> None:
    assert [token.position for token in tokenize("ab  + 'c'")] == [0, 4, 6, 9]


@pytest.mark.parametrize(
    ("source", "position", "problem"),
    [
        ("a = 'open", 4, "string is never closed"),
        ("a.`open", 2, "identifier is never closed"),
        ("a /* open", 2, "expected '*/'"),
        (r"'\q'", 0, "escape that does not exist"),
        ("@15", 0, "date or time"),
        ("$that", 0, "$this, $index or $total"),
        ("a # b", 2, "'#' has no meaning"),
        ("٣", 0, "no meaning"),
    ],
)
def test_text_that_begins_no_token_is_refused_where_it_stands(
    source: str, position: int, problem: str
) -> None:
    with pytest.raises(FhirPathSyntaxError, match="line 1, column") as refused:
        tokenize(source)
    assert refused.value.position == position
    assert problem in refused.value.problem
