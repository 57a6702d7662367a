"""Opaque positions in a result, for the next link."""

import base64
import binascii
import json
from typing import Any

from fhir_server.outcome import Invalid, Issue


def encode_cursor(position: list[Any]) -> str:
    """The text of a position: a list of numbers and strings."""
    text = json.dumps(position, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str, kinds: tuple[type, ...]) -> list[Any]:
    """The position that `encode_cursor` wrote, with values of the given kinds.

    Raises `Invalid` for anything else.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        position = json.loads(base64.urlsafe_b64decode(padded.encode()))
        fits = isinstance(position, list) and tuple(map(type, position)) == kinds
    except (binascii.Error, ValueError, RecursionError):
        fits = False
    if not fits or any(type(item) is int and abs(item) > 2**62 for item in position):
        raise Invalid(
            Issue(
                "invalid",
                f"_cursor={text[:80]!r} is none of this server's; follow "
                "the next link of a page as it stands",
            )
        )
    return list(position)
