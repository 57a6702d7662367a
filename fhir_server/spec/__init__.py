"""R4 as data: what the standard defines, without its prose."""

from fhir_server.spec.load import definitions
from fhir_server.spec.model import (
    Binding,
    CompartmentDefinition,
    Constraint,
    Definitions,
    ElementDefinition,
    OperationDefinitionFacts,
    OperationParameter,
    SearchParameterDefinition,
    TypeDefinition,
    TypeRef,
)

__all__ = [
    "Binding",
    "CompartmentDefinition",
    "Constraint",
    "Definitions",
    "ElementDefinition",
    "OperationDefinitionFacts",
    "OperationParameter",
    "SearchParameterDefinition",
    "TypeDefinition",
    "TypeRef",
    "definitions",
]
