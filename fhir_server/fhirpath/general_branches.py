"""Branches for expressions that cannot be compiled to look-ups: the general engine reads them."""

from typing import Any

from fhir_server.fhirpath.branches import Branch, Evaluate
from fhir_server.fhirpath.compiled import Compiled
from fhir_server.fhirpath.compiled import compile as compile_general
from fhir_server.fhirpath.errors import UnsupportedExpression
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.strictness import types_of

_FHIR_TYPES = {
    "System.Boolean": "boolean",
    "System.String": "string",
    "System.Integer": "integer",
    "System.Decimal": "decimal",
    "System.Date": "date",
    "System.DateTime": "dateTime",
    "System.Time": "time",
}


def general_branches(source: str, type_name: str) -> tuple[Branch, ...]:
    """One branch for each type the values may have.

    Raises `UnsupportedExpression` when the types cannot be told beforehand, and for what is wrong.
    """
    compiled = compile_general(source, as_filters=True)
    types = types_of(source, parse(source), type_name)
    if types is None:
        problem = "The types of the values cannot be told; expected ofType() at the end"
        raise UnsupportedExpression(source, 0, problem)
    names = sorted({_FHIR_TYPES.get(name, name) for name in types})
    return tuple(
        Branch(name, many=True, evaluate=_reader(compiled, name), path=(source,)) for name in names
    )


def _reader(compiled: Compiled, type_name: str) -> Evaluate:
    def read(value: Any, _resource: Any) -> list[Any]:
        return [
            found
            for item in compiled.evaluate_items(value)
            if (found := _value(item, type_name)) is not None
        ]

    return read


def _value(item: Any, type_name: str) -> Any:
    if item.__class__ is Node:
        return item.value if item.type == type_name else None
    plain = type(item).__name__.removeprefix("Fhir")
    names = {"bool": "boolean", "str": "string", "int": "integer", "Decimal": "decimal"}
    name = names.get(plain) or plain[:1].lower() + plain[1:]
    if name != type_name:
        return None
    return str(item) if plain in ("Date", "DateTime", "Time") else item
