"""What a process holds of a tenant's search index: its parameters and how they are extracted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_server.search.extract import Extractor
from fhir_server.search.parameters import SearchParameters


@dataclass(frozen=True, slots=True, eq=False)
class SearchIndex:
    """The parameters of a tenant as they were when its index had a generation.

    generation: of the search parameters; what is written with another one is written again.
    unready: why a parameter, by type and code, cannot be searched by yet.
    incomplete: why nothing can be searched by yet; empty if it can.
    sealed: whether some parameters are of elements that are encrypted at rest.
    """

    parameters: SearchParameters
    extractor: Extractor
    generation: int = 0
    unready: Mapping[tuple[str, str], str] = field(default_factory=dict)
    incomplete: str = ""
    sealed: bool = False
