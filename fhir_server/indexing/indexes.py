"""The search index of each tenant, as this process knows it."""

from collections.abc import Callable

from fhir_server.search.extract import Extractor
from fhir_server.search.index import SearchIndex
from fhir_server.search.parameters import SearchParameters


class Indexes:
    """The snapshots of one process.

    extractor_for: makes the extractor that goes with a set of parameters.
    """

    def __init__(self, extractor_for: Callable[[SearchParameters], Extractor]) -> None:
        official = SearchParameters()
        self._official = SearchIndex(official, extractor_for(official))
        self._by_tenant: dict[str, SearchIndex] = {}

    def of(self, tenant: str) -> SearchIndex:
        """What this process holds for a tenant."""
        return self._by_tenant.get(tenant, self._official)
