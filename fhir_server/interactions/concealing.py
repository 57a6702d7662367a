"""Search parameters that would tell of elements somebody does not see: for them there are none."""

from dataclasses import replace
from functools import lru_cache

from fhir_server.interactions.hiding import is_of
from fhir_server.search.index import SearchIndex
from fhir_server.search.parameters import ANY_TYPE, SearchParameter
from fhir_server.security.access import Access

# They look into the text of whole resources.
_OF_ALL_TEXT = frozenset({"_content", "_text"})


def concealing(index: SearchIndex, access: Access) -> SearchIndex:
    """The index with the parameters that the access may search by."""
    return _concealing(index, access) if access.hiding else index


@lru_cache(maxsize=256)
def _concealing(index: SearchIndex, access: Access) -> SearchIndex:
    def tells(parameter: SearchParameter) -> bool:
        if parameter.resource_type == ANY_TYPE:
            return parameter.code in _OF_ALL_TEXT
        return _tells(parameter, access.hidden(parameter.resource_type))

    return replace(index, parameters=index.parameters.without(tells))


def _tells(parameter: SearchParameter, hidden: frozenset[str]) -> bool:
    """Whether a parameter tells of an element that is hidden."""
    if not hidden:
        return False
    if parameter.code in _OF_ALL_TEXT:
        return True
    expression = parameter.expression()
    if expression is None:
        return False
    heads = [branch.head for branch in expression.branches]
    return any(
        url in (parameter.definition.expression or "")
        if url
        else any(head is None or is_of(head, element) for head in heads)
        for element, _, url in (name.partition(":") for name in hidden)
    )
