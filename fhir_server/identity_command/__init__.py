"""`fhir-server user` and `fhir-server client`: who may log in, and which programs get tokens."""
