"""Whether a resource is what R4 says it must be."""
