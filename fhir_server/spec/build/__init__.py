"""Builds the data of `fhir_server.spec` from the official definitions of R4."""
