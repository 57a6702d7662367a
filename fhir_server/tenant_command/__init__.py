"""The command `fhir-server tenant`: adding, listing, exporting and dropping territories."""
