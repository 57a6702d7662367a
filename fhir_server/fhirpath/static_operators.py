"""Comparison and boolean operators over compiled branches (FHIRPath 2.0.0 N1, section 6)."""

import operator
from collections.abc import Callable, Iterable
from typing import Any

from fhir_server.fhirpath.branches import Branch, Truth

_KINDS = {
    "boolean": "boolean",
    "integer": "number",
    "positiveInt": "number",
    "unsignedInt": "number",
    "decimal": "number",
} | dict.fromkeys(
    ("string", "code", "id", "markdown", "uri", "url", "canonical", "oid", "uuid"), "string"
)
# Types whose comparison needs rules of its own (precision, units, structure).
_DATES = frozenset({"date", "dateTime", "instant", "time"})

_Comparable = tuple[str, Any]
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDERINGS = frozenset(_ORDER)


def _kind(type_name: str) -> str:
    return _KINDS.get(type_name) or ("date" if type_name in _DATES else "structure")


def incomparable(left: Iterable[Branch], right: Iterable[Branch]) -> str | None:
    """The type whose values both sides may have and this compiler cannot compare; None if fine."""
    kinds = {_kind(branch.type) for branch in right}
    for branch in left:
        kind = _kind(branch.type)
        if kind in ("date", "structure") and kind in kinds:
            return branch.type
    return None


def equality(left: tuple[Branch, ...], right: tuple[Branch, ...], *, negated: bool) -> Truth:
    """`=`, or `!=` if negated: unknown if a side is empty (N1 section 6.1)."""
    read_left, read_right = _comparables(left), _comparables(right)

    def equal(value: Any, resource: Any) -> bool | None:
        ours = read_left(value, resource)
        theirs = read_right(value, resource)
        if not ours or not theirs:
            return None
        return (ours == theirs) is not negated

    return equal


def equals_text(branch: Branch, text: str) -> Truth:
    """`element = 'text'` for one single element: what most criteria are."""
    read = branch.reader()

    def equal(value: Any, resource: Any) -> bool | None:
        found = read(value, resource)
        return None if found is None else found == text

    return equal


def ordering(name: str, left: tuple[Branch, ...], right: tuple[Branch, ...]) -> Truth:
    """`<`, `<=`, `>` or `>=` of two strings or two numbers (N1 section 6.2)."""
    read_left, read_right, compare = _comparables(left), _comparables(right), _ORDER[name]

    def ordered(value: Any, resource: Any) -> bool | None:
        ours, theirs = read_left(value, resource), read_right(value, resource)
        if len(ours) != 1 or len(theirs) != 1 or ours[0][0] != theirs[0][0]:
            return None
        return compare(ours[0][1], theirs[0][1])

    return ordered


def _comparables(branches: tuple[Branch, ...]) -> Callable[[Any, Any], list[_Comparable]]:
    readers = [(_kind(branch.type), branch.values()) for branch in branches]

    def read(value: Any, resource: Any) -> list[_Comparable]:
        return [(kind, item) for kind, values in readers for item in values(value, resource)]

    return read


def truth(branches: tuple[Branch, ...]) -> Truth:
    """A collection as a condition: a single item that is no boolean counts as true (N1 4.5)."""
    if len(branches) == 1 and branches[0].type == "boolean" and not branches[0].many:
        return branches[0].reader()
    readers = [branch.values() for branch in branches]

    def singleton(value: Any, resource: Any) -> bool | None:
        items = [item for read in readers for item in read(value, resource)]
        if len(items) != 1:
            return None
        return items[0] if isinstance(items[0], bool) else True

    return singleton


def exists(branches: tuple[Branch, ...]) -> Truth:
    """Whether any branch yields a value."""
    readers = [branch.values() for branch in branches]
    return lambda value, resource: any(read(value, resource) for read in readers)


def negation(condition: Truth) -> Truth:
    """`not()`: unknown stays unknown."""

    def negated(value: Any, resource: Any) -> bool | None:
        result = condition(value, resource)
        return None if result is None else not result

    return negated


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _or(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def _xor(left: bool | None, right: bool | None) -> bool | None:
    return None if left is None or right is None else left is not right


def _implies(left: bool | None, right: bool | None) -> bool | None:
    return _or(None if left is None else not left, right)


LOGIC: dict[str, Callable[[bool | None, bool | None], bool | None]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}


def logic(name: str, left: Truth, right: Truth) -> Truth:
    """`and`, `or`, `xor` or `implies` with three-valued logic (N1 section 6.5)."""
    combine = LOGIC[name]
    return lambda value, resource: combine(left(value, resource), right(value, resource))
