"""FHIR over HTTP: bodies, headers, status codes and links."""
