"""The client behind `fhir-server dicom`: DICOM files into a running server."""
