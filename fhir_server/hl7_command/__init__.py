"""What is behind `fhir-server hl7`: for those who connect systems; no server, no database."""
