"""Where values are found in a resource, and what they are entered for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fhir_server.fhirpath.branches import Branch
from fhir_server.search.entries import IndexEntries
from fhir_server.search.keys import hash64, parameter_name
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.values import Instants
from fhir_server.spec import Definitions

# Enters one value.
Emit = Callable[[Any, IndexEntries], None]


@dataclass(frozen=True, slots=True)
class Site:
    """A branch with the parameters that want its values.

    base_url: this server's own, without a slash at the end.
    """

    branch: Branch
    parameters: Sequence[SearchParameter]
    base_url: str
    instants: Instants
    definitions: Definitions

    def hashes(self, modifier: str = "") -> tuple[int, ...]:
        """The hash of each parameter, or of its form with a modifier."""
        return tuple(
            hash64(parameter_name(parameter.resource_type, parameter.code, modifier))
            for parameter in self.parameters
        )


Maker = Callable[[Site], Emit]

_T = TypeVar("_T")


def nearest(by_type: Mapping[str, _T], type_name: str, known: Definitions) -> _T | None:
    """What a table has for a type, or for the nearest type it derives from; None if nothing."""
    name: str | None = type_name
    while name is not None and name not in by_type:
        definition = known.types.get(name)
        name = definition.base if definition else None
    return by_type[name] if name is not None else None
