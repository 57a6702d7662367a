"""The operators of assertions (R4 valueset-assert-operator-codes.html)."""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation

Compare = Callable[[str, str], bool]


class WrongOperator(Exception):
    """An operator that cannot be used here; says which could."""


def _listed(expected: str) -> list[str]:
    return [each.strip() for each in expected.split(",")]


def _order(actual: str, expected: str) -> int:
    left, right = _number(actual), _number(expected)
    if left is not None and right is not None:
        return (left > right) - (left < right)
    return (actual > expected) - (actual < expected)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# Of several values that were found, one has to satisfy these …
ANY: dict[str, Compare] = {
    "equals": lambda actual, expected: actual == expected,
    "in": lambda actual, expected: actual in _listed(expected),
    "contains": lambda actual, expected: expected in actual,
    "greaterThan": lambda actual, expected: _order(actual, expected) > 0,
    "lessThan": lambda actual, expected: _order(actual, expected) < 0,
}
# … and all have to satisfy these, as they deny the others.
EVERY: dict[str, Compare] = {
    "notEquals": lambda actual, expected: actual != expected,
    "notIn": lambda actual, expected: actual not in _listed(expected),
    "notContains": lambda actual, expected: expected not in actual,
}
PRESENCE = {"empty", "notEmpty"}


def holds(actual: Sequence[str], operator: str, expected: str | None) -> bool:
    """Whether what was found stands to what was expected as the operator says.

    Raises WrongOperator for one that is not for values, or that misses what to compare with.
    """
    if operator in PRESENCE:
        return (operator == "empty") == (not any(actual))
    compare = ANY.get(operator) or EVERY.get(operator)
    if compare is None:
        raise WrongOperator(f"the operator {operator} cannot be used here")
    if expected is None:
        raise WrongOperator(f"the operator {operator} needs a value to compare with")
    if operator in ANY:
        return any(compare(each, expected) for each in actual)
    return all(compare(each, expected) for each in actual)


def told(actual: Sequence[str]) -> str:
    """What was found, for a message."""
    if not actual:
        return "nothing"
    shown = ", ".join(repr(_short(each)) for each in actual[:5])
    return shown if len(actual) <= 5 else f"{shown} and {len(actual) - 5} more"


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
