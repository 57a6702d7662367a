"""FHIRPath: parsed, then compiled to closures over resources in memory (R4 fhirpath.html)."""
