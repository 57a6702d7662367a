"""Validates files without a server and without a database, for `fhir-server validate`."""
