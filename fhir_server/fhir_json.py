"""JSON as FHIR needs it: decimals keep their digits, duplicate keys are refused (R4 json.html)."""

from typing import Any

import jiter
import msgspec

from fhir_server.outcome import Invalid, Issue

_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(data: bytes) -> Any:
    """Parse UTF-8 JSON; numbers with a fraction or exponent become `Decimal`.

    Raises `Invalid` with line and column for malformed JSON, a repeated key, bytes that are not
    UTF-8, and nesting deeper than 200 levels.
    """
    try:
        return jiter.from_json(
            data,
            allow_inf_nan=False,
            cache_mode="keys",
            catch_duplicate_keys=True,
            float_mode="decimal",
        )
    except ValueError as error:
        raise Invalid(Issue("structure", f"The body is not valid JSON: {error}")) from None


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON; a `Decimal` is written with the digits it has."""
    return _encoder.encode(value)


def encode_pretty(value: Any) -> bytes:
    """The same, indented by two spaces for people."""
    return msgspec.json.format(_encoder.encode(value), indent=2)


_sorting_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted")


def encode_sorted(value: Any) -> bytes:
    """JSON with keys in order, so that equal content gives equal bytes."""
    return _sorting_encoder.encode(value)
