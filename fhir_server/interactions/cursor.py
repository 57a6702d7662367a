"""Opaque, signed positions in a result, for the links between pages.

A cursor holds where a page begins and for which search, so that it can neither be made up nor be
used with other parameters. It never goes stale: it names a place in an order, not a stored result.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fhir_server.outcome import Invalid, Issue

_SIGNED_BYTES = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode_cursor(secret: bytes, purpose: str, position: Sequence[Any]) -> str:
    """The text of a position: texts, numbers, Decimals, aware datetimes and None.

    purpose: what the cursor may be used for, such as the search that it belongs to.
    """
    packed = json.dumps([_packed(item) for item in position], separators=(",", ":")).encode()
    return (
        base64.urlsafe_b64encode(_signature(secret, purpose, packed) + packed).decode().rstrip("=")
    )


def decode_cursor(secret: bytes, purpose: str, text: str) -> list[Any]:
    """The position that `encode_cursor` wrote for the same purpose. Raises `Invalid`."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    packed = data[_SIGNED_BYTES:]
    if not packed or not hmac.compare_digest(
        data[:_SIGNED_BYTES], _signature(secret, purpose, packed)
    ):
        text = (
            f"_cursor={text[:80]!r} is none of this server's, or of another search; follow the "
            "links of a page as they stand"
        )
        raise Invalid(Issue("invalid", text))
    return [_unpacked(item) for item in json.loads(packed)]


def _signature(secret: bytes, purpose: str, packed: bytes) -> bytes:
    message = hashlib.sha256(purpose.encode()).digest() + packed
    return hmac.digest(secret, message, "sha256")[:_SIGNED_BYTES]


def _packed(item: Any) -> Any:
    if isinstance(item, Decimal):
        return {"n": str(item)}
    if isinstance(item, datetime):
        since = item - _EPOCH
        return {"t": (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds}
    return item


def _unpacked(item: Any) -> Any:
    match item:
        case {"n": number}:
            return Decimal(number)
        case {"t": microseconds}:
            seconds, rest = divmod(microseconds, 1_000_000)
            return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return item
