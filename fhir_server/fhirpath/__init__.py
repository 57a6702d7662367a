"""FHIRPath: parsed, then compiled to closures over resources in memory (R4 fhirpath.html)."""

from fhir_server.fhirpath.compiled import Compiled, compile  # noqa: A004 - like re.compile
from fhir_server.fhirpath.environment import Resolver, Services
from fhir_server.fhirpath.errors import (
    FhirPathError,
    FhirPathEvaluationError,
    FhirPathLimitError,
    FhirPathSyntaxError,
    FhirPathTypeError,
    UnsupportedExpression,
)
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import FhirDate, FhirDateTime, FhirTime

__all__ = [
    "Compiled",
    "FhirDate",
    "FhirDateTime",
    "FhirPathError",
    "FhirPathEvaluationError",
    "FhirPathLimitError",
    "FhirPathSyntaxError",
    "FhirPathTypeError",
    "FhirTime",
    "Node",
    "Quantity",
    "Resolver",
    "Services",
    "UnsupportedExpression",
    "compile",
]
