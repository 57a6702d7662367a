"""The types that `is`, `as` and `ofType` name (FHIRPath 2.0.0 N1 section 6.3)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.ast import TypeSpecifier
from fhir_server.fhirpath.model import node_type
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import FhirDate, FhirDateTime, FhirTime

Test = Callable[[Any], bool]

_SYSTEM: dict[str, type] = {
    "Boolean": bool,
    "String": str,
    "Integer": int,
    "Decimal": Decimal,
    "Date": FhirDate,
    "DateTime": FhirDateTime,
    "Time": FhirTime,
    "Quantity": Quantity,
}


def type_test(specifier: TypeSpecifier) -> Test | None:
    """Whether an item is of the type, or of one that derives from it; None if there is none.

    A name without namespace is a FHIR type first; `Quantity` is both. `System` has no other types,
    so that nothing is ever one of them.
    """
    name = specifier.name
    is_fhir = specifier.namespace in (None, "FHIR") and node_type(name) is not None
    plain = _SYSTEM.get(name) if specifier.namespace in (None, "System") else None
    if is_fhir and plain is not None:
        return lambda item: item.__class__ is plain or _derives(item, name)
    if is_fhir:
        return lambda item: item.__class__ is Node and name in item.kind.bases
    if plain is not None:
        return lambda item: item.__class__ is plain
    return (lambda _item: False) if specifier.namespace == "System" else None


def _derives(item: Any, name: str) -> bool:
    return item.__class__ is Node and name in item.kind.bases
