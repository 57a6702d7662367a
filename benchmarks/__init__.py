"""Measures a FHIR server over HTTP: throughput, latency, errors."""
