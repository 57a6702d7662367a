"""Whether a resource is what a profile says it must be (R4 profiling.html)."""
