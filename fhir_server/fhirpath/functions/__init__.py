"""The functions of FHIRPath by name (FHIRPath 2.0.0 N1 section 5, R4 fhirpath.html#functions)."""

from fhir_server.fhirpath.functions import (
    boundaries,
    collections,
    conversion,
    existence,
    fhir,
    filtering,
    mathematics,
    regular,
    strings,
    types,
    utility,
)
from fhir_server.fhirpath.functions.registry import Function, merged

FUNCTIONS: dict[str, Function] = merged(
    boundaries.FUNCTIONS,
    collections.FUNCTIONS,
    conversion.FUNCTIONS,
    existence.FUNCTIONS,
    fhir.FUNCTIONS,
    filtering.FUNCTIONS,
    mathematics.FUNCTIONS,
    regular.FUNCTIONS,
    strings.FUNCTIONS,
    types.FUNCTIONS,
    utility.FUNCTIONS,
)
