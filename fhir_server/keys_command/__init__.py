"""What is behind `fhir-server keys`: master keys, and keys of what is encrypted at rest."""
