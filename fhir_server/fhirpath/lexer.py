"""Splits FHIRPath text into tokens (FHIRPath 2.0.0 N1, Appendix B)."""

import re
from dataclasses import dataclass
from enum import Enum

from fhir_server.fhirpath.errors import FhirPathSyntaxError


class TokenKind(Enum):
    """The lexical classes; the value is how a message calls them."""

    IDENTIFIER = "an identifier"
    DELIMITED_IDENTIFIER = "a delimited identifier"
    STRING = "a string"
    NUMBER = "a number"
    DATE = "a date"
    DATE_TIME = "a date and time"
    TIME = "a time"
    VARIABLE = "a variable"
    SYMBOL = "a symbol"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of source; `text` is unescaped and without quotes, `@` or `$`."""

    kind: TokenKind
    text: str
    position: int

    def __str__(self) -> str:
        if self.kind is TokenKind.END:
            return "the end of the expression"
        return f"'{self.text}'"


_DATE = r"\d{4}(?:-\d{2}(?:-\d{2})?)?"
_TIME = r"\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?"
_ZONE = r"(?:Z|[+-]\d{2}:\d{2})"
_ESCAPE = r"\\(?:[`'\"\\/fnrt]|u[0-9a-fA-F]{4})"

_TOKEN = re.compile(
    rf"""
      (?P<SPACE> [ \t\r\n]+ | //[^\r\n]* | /\*.*?\*/ )
    | (?P<DATE_TIME> @{_DATE}T (?:{_TIME}{_ZONE}?)? )
    | (?P<DATE> @{_DATE} (?![\d-]) )
    | (?P<TIME> @T{_TIME} (?![\d:]) )
    | (?P<NUMBER> [0-9]+ (?:\.[0-9]+)? )
    | (?P<IDENTIFIER> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<DELIMITED_IDENTIFIER> ` (?: [^`\\] | {_ESCAPE} )* ` )
    | (?P<STRING> ' (?: [^'\\] | {_ESCAPE} )* ' )
    | (?P<VARIABLE> \$(?:this|index|total)\b )
    | (?P<SYMBOL> <= | >= | != | !~ | /(?!\*) | [-.,()\[\]{{}}+*&|<>=~%] )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_BROKEN = (
    (re.compile(r"/\*"), "The comment is never closed: expected '*/'"),
    (re.compile(r"'"), "The string is never closed, or has an escape that does not exist"),
    (re.compile(r"`"), "The identifier is never closed, or has an escape that does not exist"),
    (re.compile(r"@"), "Expected a date or time such as @2015-02-04T14:34:28Z after '@'"),
    (re.compile(r"\$"), "Expected $this, $index or $total"),
)

_ESCAPED = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CONTROLS = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def tokenize(source: str) -> list[Token]:
    """The tokens of `source` without white space and comments; the last one is END.

    Raises `FhirPathSyntaxError` at the first character that starts no token.
    """
    tokens = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise FhirPathSyntaxError(source, position, _what_is_broken(source, position))
        if match.lastgroup and match.lastgroup != "SPACE":
            kind = TokenKind[match.lastgroup]
            tokens.append(Token(kind, _content(kind, match.group()), position))
        position = match.end()
    tokens.append(Token(TokenKind.END, "", len(source)))
    return tokens


def _content(kind: TokenKind, text: str) -> str:
    match kind:
        case TokenKind.STRING | TokenKind.DELIMITED_IDENTIFIER:
            return _ESCAPED.sub(_unescaped, text[1:-1])
        case TokenKind.DATE | TokenKind.DATE_TIME | TokenKind.TIME | TokenKind.VARIABLE:
            return text[1:]
        case _:
            return text


def _unescaped(match: re.Match[str]) -> str:
    escape = match.group(1)
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _CONTROLS.get(escape, escape)


def _what_is_broken(source: str, position: int) -> str:
    for pattern, problem in _BROKEN:
        if pattern.match(source, position):
            return problem
    return f"The character {source[position]!r} has no meaning here"
