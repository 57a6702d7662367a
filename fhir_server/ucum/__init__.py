"""UCUM: units as exact multiples of base units (ucum.org/ucum, version 2.2)."""

from fhir_server.ucum.codes import canonical, convert
from fhir_server.ucum.unit import Unit, decimal

__all__ = ["Unit", "canonical", "convert", "decimal"]
