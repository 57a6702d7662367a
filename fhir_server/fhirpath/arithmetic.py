"""The arithmetic and comparison operators on System values (N1 sections 6.2 and 6.6)."""

import operator
from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import Any

from fhir_server.fhirpath import quantity
from fhir_server.fhirpath.numbers import CONTEXT, Number, divided, whole
from fhir_server.fhirpath.quantity import CALENDAR_OF_UCUM, Quantity
from fhir_server.fhirpath.temporal import FhirDate, FhirDateTime, FhirTime, Temporal, compare
from fhir_server.fhirpath.temporal_arithmetic import add
from fhir_server.fhirpath.values import type_name

Operation = Callable[[Any, Any], Any]


class Mismatch(Exception):
    """Operands that an operator does not take; says what it does take."""


def _number(value: Any) -> bool:
    return value.__class__ is int or value.__class__ is Decimal


def _plus(left: Any, right: Any) -> Any:
    if _number(left) and _number(right):
        return _calculated(operator.add, CONTEXT.add, left, right)
    if left.__class__ is str and right.__class__ is str:
        return left + right
    if isinstance(left, Temporal) and right.__class__ is Quantity:
        return _later(left, right, 1)
    if left.__class__ is Quantity and right.__class__ is Quantity:
        return _summed(left, right, 1)
    raise Mismatch("two numbers, two strings, two quantities, or a date or time and a duration")


def _minus(left: Any, right: Any) -> Any:
    if _number(left) and _number(right):
        return _calculated(operator.sub, CONTEXT.subtract, left, right)
    if isinstance(left, Temporal) and right.__class__ is Quantity:
        return _later(left, right, -1)
    if left.__class__ is Quantity and right.__class__ is Quantity:
        return _summed(left, right, -1)
    raise Mismatch("two numbers, two quantities, or a date or time and a duration")


def _times(left: Any, right: Any) -> Any:
    if _number(left) and _number(right):
        return _calculated(operator.mul, CONTEXT.multiply, left, right)
    left, right = _quantities(left, right)
    return quantity.multiply(left, right)


def _over(left: Any, right: Any) -> Any:
    if _number(left) and _number(right):
        return divided(left, right)
    left, right = _quantities(left, right)
    return quantity.divide(left, right)


def _div(left: Any, right: Any) -> Any:
    if not _number(left) or not _number(right):
        raise Mismatch("two numbers")
    return None if right == 0 else whole(int(CONTEXT.divide_int(Decimal(left), Decimal(right))))


def _mod(left: Any, right: Any) -> Any:
    if not _number(left) or not _number(right):
        raise Mismatch("two numbers")
    if right == 0:
        return None
    rest = CONTEXT.remainder(Decimal(left), Decimal(right))
    return int(rest) if left.__class__ is int and right.__class__ is int else rest


def _joined(left: Any, right: Any) -> str:
    if left.__class__ is str and right.__class__ is str:
        return str(left + right)
    raise Mismatch("two strings")


_OPERATIONS: dict[str, Operation] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _over,
    "div": _div,
    "mod": _mod,
    "&": _joined,
}
OPERATORS = frozenset(_OPERATIONS)


def calculate(name: str, left: Any, right: Any) -> Any:
    """The result of an operator; None where N1 says empty: overflow, division by zero.

    Raises `Mismatch` for operands it does not take.
    """
    try:
        return _OPERATIONS[name](left, right)
    except (DecimalException, OverflowError):
        return None
    except Mismatch as mismatch:
        found = f"{type_name(left)} and {type_name(right)}"
        raise Mismatch(f"'{name}' takes {mismatch}, but found {found}") from None


def negative(value: Any) -> Any:
    """`-value`."""
    if _number(value):
        return -value if value.__class__ is int else CONTEXT.minus(value)
    if value.__class__ is Quantity:
        return Quantity(CONTEXT.minus(value.value), value.unit, value.calendar)
    raise Mismatch(f"A sign takes a number or a quantity, but found {type_name(value)}")


def _calculated(
    whole_numbers: Operation, decimals: Operation, left: Number, right: Number
) -> Number | None:
    if left.__class__ is int and right.__class__ is int:
        return whole(whole_numbers(left, right))
    result: Decimal = decimals(left, right)
    return result


def _quantities(left: Any, right: Any) -> tuple[Quantity, Quantity]:
    found = [Quantity(Decimal(value)) if _number(value) else value for value in (left, right)]
    if found[0].__class__ is not Quantity or found[1].__class__ is not Quantity:
        raise Mismatch("numbers or quantities")
    return found[0], found[1]


def _summed(left: Quantity, right: Quantity, sign: int) -> Quantity:
    found = quantity.add(left, right, sign)
    if found is None:
        raise Mismatch("two quantities of the same dimension")
    return found


def _later(value: Temporal, amount: Quantity, sign: int) -> Temporal | None:
    unit = amount.unit if amount.calendar else CALENDAR_OF_UCUM.get(amount.unit)
    if unit is None or (not amount.calendar and unit in ("year", "month")):
        raise Mismatch("a date or time and a duration of calendar units or of s, min, h, d or wk")
    if isinstance(value, FhirTime) and unit in ("year", "month", "week", "day"):
        raise Mismatch("a time and a duration of hours, minutes or seconds")
    return add(value, sign * amount.value, unit)


_ORDERS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
ORDERINGS = frozenset(_ORDERS)
_ORDERED = ((str,), (int, Decimal), (FhirDate, FhirDateTime), (FhirTime,), (Quantity,))
_GROUP = {type_: group for group, types in enumerate(_ORDERED) for type_ in types}


def ordered(name: str, left: Any, right: Any) -> bool | None:
    """`<` and its like; None if precision or units leave it open.

    Raises `Mismatch` for values that have no order.
    """
    order = order_of(left, right)
    return None if order is None else _ORDERS[name](order)


def order_of(left: Any, right: Any) -> int | None:
    """-1, 0 or 1, or None if it is open; raises `Mismatch` for values that have no order."""
    if left.__class__ is Quantity or right.__class__ is Quantity:
        left, right = (Quantity(Decimal(v)) if _number(v) else v for v in (left, right))
    group = _GROUP.get(left.__class__)
    if group is None or group != _GROUP.get(right.__class__):
        found = f"{type_name(left)} and {type_name(right)}"
        raise Mismatch(f"Expected two values of one ordered type, but found {found}")
    if isinstance(left, Temporal):
        return compare(left, right)
    if left.__class__ is Quantity:
        return quantity.compare(left, right)
    return int(left > right) - int(left < right)
