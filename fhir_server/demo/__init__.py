"""The client behind `fhir-server demo`: a small hospital, made through the public interface."""
