"""Fixed and pattern values (R4 elementdefinition.html#fixed, #pattern)."""

from decimal import Decimal
from typing import Any

from fhir_server.fhir_json import encode
from fhir_server.fhirpath import Node
from fhir_server.validation.found import shown

_NUMBERS = (int, Decimal, float)


def given(element: dict[str, Any], stem: str) -> tuple[Any, bool]:
    """The value of `fixed[x]` or the like, and whether there is one."""
    for key, value in element.items():
        if key.startswith(stem) and key[len(stem) : len(stem) + 1].isupper():
            return value, True
    return None, False


def equals(value: Any, fixed: Any) -> bool:
    """Whether a value is exactly the fixed one, numbers by value."""
    if isinstance(fixed, dict):
        return (
            isinstance(value, dict)
            and value.keys() == fixed.keys()
            and all(equals(value[key], each) for key, each in fixed.items())
        )
    if isinstance(fixed, list):
        return (
            isinstance(value, list)
            and len(value) == len(fixed)
            and all(equals(one, other) for one, other in zip(value, fixed, strict=True))
        )
    return same(value, fixed)


def matches(value: Any, pattern: Any) -> bool:
    """Whether a value has everything that the pattern has."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and matches(value[key], each) for key, each in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(matches(one, each) for one in value) for each in pattern
        )
    return same(value, pattern)


def same(value: Any, other: Any) -> bool:
    """Whether two primitive values are the same."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, _NUMBERS) and isinstance(other, _NUMBERS):
        return Decimal(str(value)) == Decimal(str(other))
    return bool(value == other)


def told(value: Any) -> str:
    """A value as a diagnostic shows it."""
    if isinstance(value, dict | list):
        return encode(value).decode()[:200]
    return shown(value)


def has_value(node: Node) -> bool:
    """Whether there is a value, not only extensions."""
    return node.value is not None
