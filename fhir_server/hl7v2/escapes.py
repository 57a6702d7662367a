"""Escape sequences in values, both ways (HL7 v2 2.7)."""

import re
from collections.abc import Callable
from functools import lru_cache

from fhir_server.hl7v2.delimiters import Delimiters

_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)\Z")
_FORMAT = re.compile(r"\.(br|sp|in|ti|sk|ce|fi|nf)\s*([+-]?\d{0,3})\Z")
# Highlighting begins and ends; plain text has none.
_DROPPED = frozenset({"H", "N"})
# A sequence is short; whatever is longer between two escape characters is text.
_LONGEST = 4096

Unescape = Callable[[str], str]


def unescape(text: str, delimiters: Delimiters, codec: str = "utf-8") -> str:
    """A leaf value as it is meant; split first, then unescape.

    codec: of the message, for bytes given in hexadecimal. Formatting becomes line breaks and
    spaces. Sequences that change character sets (`C`, `M`), local ones (`Z`) and an escape
    character that begins none stay as they are.
    """
    if not delimiters.escape or delimiters.escape not in text:
        return text
    return _unescaped(text, delimiters, codec)


def _unescaped(text: str, delimiters: Delimiters, codec: str) -> str:
    mark = delimiters.escape
    meant = _meant(delimiters)
    made: list[str] = []
    at = 0
    while True:
        start = text.find(mark, at)
        end = text.find(mark, start + 1, start + _LONGEST) if start >= 0 else -1
        if end < 0:
            made.append(text[at:])
            return "".join(made)
        made.append(text[at:start])
        sequence = text[start + 1 : end]
        value = meant.get(sequence)
        if value is None:
            value = _by_rule(sequence, codec)
        if value is None and sequence[:1] in ("C", "M", "Z"):
            value = text[start : end + 1]
        if value is None:
            # A lone escape character: what follows may begin a sequence of its own.
            made.append(mark)
            at = start + 1
        else:
            made.append(value)
            at = end + 1


@lru_cache(maxsize=64)
def _meant(delimiters: Delimiters) -> dict[str, str]:
    """What the sequences of one letter stand for."""
    meant = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "T": delimiters.subcomponent,
        "P": delimiters.truncation or "#",
    }
    return meant | dict.fromkeys(_DROPPED, "")


def _by_rule(sequence: str, codec: str) -> str | None:
    found = _HEX.match(sequence)
    if found:
        data = bytes.fromhex(found[1])
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            return data.decode("latin-1")
    found = _FORMAT.match(sequence)
    if found is None:
        return None
    return _formatted(found[1], int(found[2]) if found[2].strip("+-") else None)


def _formatted(command: str, number: int | None) -> str:
    """A formatting command as plain text (HL7 v2 2.7.6)."""
    times = max(0, min(1 if number is None else number, 99))
    if command in ("br", "ce"):
        return "\n"
    if command == "sp":
        return "\n" * max(1, times)
    return " " * times if command in ("sk", "ti") else ""


def escape(text: str, delimiters: Delimiters) -> str:
    """A value as it may stand in a message: no delimiter, no line end."""
    return text.translate(_escapes(delimiters))


@lru_cache(maxsize=64)
def _escapes(delimiters: Delimiters) -> dict[int, str]:
    mark = delimiters.escape
    pairs = (
        ("F", delimiters.field), ("S", delimiters.component), ("R", delimiters.repetition),
        ("E", delimiters.escape), ("T", delimiters.subcomponent), ("P", delimiters.truncation),
        ("X0D", "\r"), ("X0A", "\n"), ("X0B", "\v"), ("X1C", "\x1c"),
    )  # fmt: skip
    if not mark:
        return {ord(character): " " for _, character in pairs if character}
    return {ord(character): f"{mark}{code}{mark}" for code, character in pairs if character}
