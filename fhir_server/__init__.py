"""An HL7 FHIR R4 interoperability server on PostgreSQL."""

__version__ = "0.1.0"
