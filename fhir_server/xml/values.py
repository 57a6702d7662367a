"""Primitive values as the text of an XML attribute (R4 datatypes.html#primitive)."""

import re
from collections.abc import Callable
from decimal import Decimal
from operator import methodcaller
from typing import Any

from fhir_server.outcome import Invalid, Issue
from fhir_server.spec import Definitions

_SPACE = " \t\r\n"
_whole = re.compile(r"-?(0|[1-9][0-9]*)").fullmatch
_number = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch
# Longer ones are no value of any type; as text they reach the structure check, which says so.
_MOST_DIGITS = 1100


def _boolean(text: str) -> Any:
    text = text.strip(_SPACE)
    return text == "true" if text in ("true", "false") else text


def _integer(text: str) -> Any:
    text = text.strip(_SPACE)
    return int(text) if len(text) <= _MOST_DIGITS and _whole(text) else text


def _decimal(text: str) -> Any:
    text = text.strip(_SPACE)
    if len(text) > _MOST_DIGITS or not _number(text):
        return text
    if _whole(text):
        return int(text)
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


_token: Callable[[str], Any] = methodcaller("strip", _SPACE)

# The XML Schema of R4 lets white space around every value but that of a string, which has to
# come back as it was sent.
_READERS: dict[str, Callable[[str], Any]] = {
    "base64Binary": str,
    "boolean": _boolean,
    "decimal": _decimal,
    "id": str,
    "integer": _integer,
    "markdown": str,
    "positiveInt": _integer,
    "string": str,
    "unsignedInt": _integer,
}


def reader(definitions: Definitions, type_: str) -> Callable[[str], Any]:
    """What makes a value of a primitive type from its text.

    A text that is no value of the type stays text, for the structure check to name it.
    """
    assert definitions.types[type_].kind == "primitive-type"
    return _READERS.get(type_, _token)


_special = re.compile('[&<>"\x00-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff\ud800-\udfff]').search
_impossible = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]").search
_REFERENCES = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    # A parser would make a space of each of these if they stood there themselves.
    ord("\t"): "&#9;",
    ord("\n"): "&#10;",
    ord("\r"): "&#13;",
}


def attribute(value: Any) -> str:
    """A primitive value as the text between the quotes of an attribute.

    Raises `Invalid` (406) for a character that XML 1.0 cannot hold, and for what is no primitive.
    """
    if type(value) is str:
        return _escaped(value) if _special(value) else value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int | Decimal):
        return str(value)
    raise Invalid(Issue("structure", "Expected a primitive value, found an object or array"))


def _escaped(text: str) -> str:
    impossible = _impossible(text)
    if impossible is not None:
        raise inexpressible(ord(impossible[0]))
    return text.translate(_REFERENCES)


def inexpressible(character: int) -> Invalid:
    """The refusal of a resource with a character that XML 1.0 does not have."""
    what = f"The character U+{character:04X} cannot be written in XML; ask for JSON"
    return Invalid(Issue("not-supported", what), status=406)
