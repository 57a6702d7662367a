"""`iif` and conversions between System types (N1 section 5.5)."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath import quantity
from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.registry import STRING, Function
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.numbers import whole
from fhir_server.fhirpath.quantity import CALENDAR_UNITS, Quantity
from fhir_server.fhirpath.temporal import (
    FhirDate,
    FhirDateTime,
    FhirTime,
    parse_date_time,
    parse_time,
)

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler

Convert = Callable[[Any], Any]

_LONGEST_NUMBER = 100
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII).fullmatch
_DECIMAL = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII).fullmatch
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d+(?:\.\d+)?)\s*(?:'(?P<unit>[^']+)'|(?P<calendar>[a-z]+))?", re.ASCII
).fullmatch
_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0"))


def to_boolean(value: Any) -> bool | None:
    """`toBoolean()`."""
    if value.__class__ is bool:
        return bool(value)
    if value.__class__ in (int, Decimal):
        return bool(value) if value in (0, 1) else None
    if value.__class__ is str:
        text = value.lower()
        return True if text in _TRUE else False if text in _FALSE else None
    return None


def to_integer(value: Any) -> int | None:
    """`toInteger()`."""
    if value.__class__ in (int, bool):
        return int(value)
    if value.__class__ is str and len(value) <= _LONGEST_NUMBER and _INTEGER(value):
        return whole(int(value))
    return None


def to_decimal(value: Any) -> Decimal | None:
    """`toDecimal()`."""
    if value.__class__ in (int, bool, Decimal):
        return Decimal(value)
    if value.__class__ is str and len(value) <= _LONGEST_NUMBER and _DECIMAL(value):
        return Decimal(value)
    return None


def to_text(value: Any) -> str | None:
    """`toString()`."""
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is Decimal:
        return f"{value:f}"
    return None if value.__class__ is Node else str(value)


def to_date(value: Any) -> FhirDate | None:
    """`toDate()`."""
    if value.__class__ is FhirDateTime:
        return FhirDate(value.parts[:3])
    if value.__class__ is str:
        found = parse_date_time(value)
        return FhirDate(found.parts[:3]) if found else None
    return value if value.__class__ is FhirDate else None


def to_date_time(value: Any) -> FhirDateTime | None:
    """`toDateTime()`."""
    if value.__class__ is FhirDate:
        return FhirDateTime(value.parts)
    if value.__class__ is str:
        return parse_date_time(value)
    return value if value.__class__ is FhirDateTime else None


def to_time(value: Any) -> FhirTime | None:
    """`toTime()`."""
    if value.__class__ is str:
        return parse_time(value)
    return value if value.__class__ is FhirTime else None


def to_quantity(value: Any) -> Quantity | None:
    """`toQuantity()`."""
    if value.__class__ in (int, bool, Decimal):
        return Quantity(Decimal(value))
    if value.__class__ is str and len(value) <= 2 * _LONGEST_NUMBER:
        return _parsed(value)
    return value if value.__class__ is Quantity else None


def _parsed(text: str) -> Quantity | None:
    match = _QUANTITY(text)
    if match is None:
        return None
    value, calendar = Decimal(match["value"]), match["calendar"]
    if calendar is None:
        return quantity.quantity(value, match["unit"] or "1")
    return quantity.quantity(value, calendar) if calendar in CALENDAR_UNITS else None


def _converter(convert: Convert) -> Function:
    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        value_of = compiler.only(source, call)

        def one(this: Any, env: Environment) -> Any:
            value = value_of(this, env)
            return None if value is None else convert(value)

        return single(one)

    return Function(0, 0, compiled)


def _tester(convert: Convert) -> Function:
    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        value_of = compiler.only(source, call)

        def one(this: Any, env: Environment) -> bool | None:
            value = value_of(this, env)
            return None if value is None else convert(value) is not None

        return single(one)

    return Function(0, 0, compiled)


def _quantity(test: bool) -> Function:
    """`toQuantity` or its test; with a unit, only if the quantity can be given in it."""

    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        value_of = compiler.only(source, call)
        unit_of = None
        if call.arguments:
            node = call.arguments[0]
            unit_of = compiler.scalar(compiler.code(node), node, STRING.types, STRING.wanted)

        def one(this: Any, env: Environment) -> Any:
            value = value_of(this, env)
            if value is None:
                return None
            found = to_quantity(value)
            if found is not None and unit_of is not None:
                unit = unit_of(this, env)
                found = None if unit is None else quantity.converted(found, unit)
            return found is not None if test else found

        return single(one)

    return Function(0, 1, compiled)


def _iif(compiler: "Compiler", call: Call, source: Code) -> Code:
    condition = compiler.truth(call.arguments[0])
    then, *rest = (compiler.code(node) for node in call.arguments[1:])
    otherwise = rest[0] if rest else None

    def items(this: Any, env: Environment) -> Sequence[Any]:
        found = source.items(this, env)
        if len(found) > 1:
            raise compiler.fault(call, f"iif() takes one item but found {len(found)}")
        focus = found[0] if found else None
        if condition(focus, env) is True:
            return then.items(focus, env)
        return otherwise.items(focus, env) if otherwise else ()

    return Code(items)


_CONVERSIONS: dict[str, Convert] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Decimal": to_decimal,
    "String": to_text,
    "Date": to_date,
    "DateTime": to_date_time,
    "Time": to_time,
}
FUNCTIONS = {
    "iif": Function(2, 3, _iif),
    "toQuantity": _quantity(test=False),
    "convertsToQuantity": _quantity(test=True),
    **{f"to{name}": _converter(convert) for name, convert in _CONVERSIONS.items()},
    **{f"convertsTo{name}": _tester(convert) for name, convert in _CONVERSIONS.items()},
}
