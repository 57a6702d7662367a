"""How a check reports what it found: lists of issues, located from the inside out."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from fhir_server.outcome import Issue

# Everything below one element is reported up to here; a hostile body must not cost more.
MOST_ISSUES = 100

Found = list[Issue] | None


class Walk:
    """What one check gathers on its way through a resource.

    contained: ids of the resources contained in the one that is being checked.
    """

    __slots__ = ("contained", "links", "references")

    def __init__(self) -> None:
        self.references: list[dict[str, Any]] = []
        self.links: list[tuple[dict[str, Any] | list[Any], str | int]] = []
        self.contained: set[str] = set()


# (value, the object or array that holds it, its key there, walk) -> issues relative to the value
Check = Callable[[Any, Any, Any, Walk], Found]


def located(label: str, issues: list[Issue]) -> list[Issue]:
    """The issues of a child, seen from its parent."""
    return [replace(issue, expression=_join(label, issue.expression)) for issue in issues]


def _join(label: str, expression: str) -> str:
    if not expression:
        return label
    return label + expression if expression.startswith("[") else f"{label}.{expression}"


def expected(what: str, value: object) -> list[Issue]:
    """An issue for a value that is no `what` at all, by its JSON type."""
    return [Issue("structure", f"Expected {what}, found {shown(value)}.")]


def shown(value: object) -> str:
    """A value as a diagnostic quotes it, cut when it is long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the string "{_cut(value)}"'
    if isinstance(value, int | Decimal):
        return f"the number {_number(value)}"
    return "an array" if isinstance(value, list) else "an object"


def quoted(text: str) -> str:
    """A text in quotation marks, cut when it is long."""
    return f'"{_cut(text)}"'


def _number(value: int | Decimal) -> str:
    # str() of a huge int is refused by Python, so its size is told instead.
    if isinstance(value, int) and value.bit_length() > 256:
        return f"of {value.bit_length()} bits"
    return _cut(str(value))


def _cut(text: str) -> str:
    printable = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:80]
    )
    return printable + ("…" if len(text) > 80 else "")
