"""What `type()` says about an item (FHIRPath 2.0.0 N1 section 10.2)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """A type's namespace, `System` or `FHIR`, and its name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"
