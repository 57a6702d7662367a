"""Loads files of FHIR resources into a running server, over HTTP."""
