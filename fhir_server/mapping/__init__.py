"""HL7 v2 messages as FHIR resources, by the rules under `mappings/`."""
