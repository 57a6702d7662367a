"""What a resource refers to, by its reference parameters, as resources of this server."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.conditions import Circumstances
from fhir_server.search.parameters import SearchParameter, SearchParameters
from fhir_server.search.sites import nearest
from fhir_server.spec import definitions

_OWN = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/([0-9]{1,9}))?")

# What reading a value of the wrong shape raises: it refers to nothing.
_MALFORMED = (AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class Links:
    """References, by the way they name their targets.

    current: types and ids.
    versions: types, ids and versions.
    canonicals: types that the target may have, urls, and versions if they are named.
    """

    current: set[tuple[str, str]] = field(default_factory=set)
    versions: set[tuple[str, str, int]] = field(default_factory=set)
    canonicals: set[tuple[str, str, str | None]] = field(default_factory=set)


class LinkReader:
    """Reads references by the expressions of parameters, as the search index does.

    Beside, a version that a reference names is kept, and canonicals stay apart.
    """

    def __init__(self, known: SearchParameters, where: Circumstances) -> None:
        self._known = known
        self._bases = tuple(f"{base}/" for base in (where.base_url, where.seen_as) if base)
        self._readers: dict[str, list[_Reader]] = {}

    def read(
        self, resource: dict[str, Any], parameter: SearchParameter, target: str, links: Links
    ) -> None:
        """Add the references of a resource by one parameter, to one type or to all if empty."""
        readers = self._readers.get(parameter.name)
        if readers is None:
            readers = self._readers.setdefault(parameter.name, _readers(parameter))
        for reader in readers:
            try:
                for is_canonical, text in reader(resource):
                    self._add(text, target, links)
                    if is_canonical:
                        links.canonicals.update(self._canonicals(text, parameter, target))
            except _MALFORMED:
                continue

    def _add(self, text: str, target: str, links: Links) -> None:
        for base in self._bases:
            text = text.removeprefix(base)
        own = _OWN.fullmatch(text)
        if own is None or target not in ("", own[1]):
            return
        if own[3] is None:
            links.current.add((own[1], own[2]))
        else:
            links.versions.add((own[1], own[2], int(own[3])))

    def _canonicals(
        self, text: str, parameter: SearchParameter, target: str
    ) -> Iterable[tuple[str, str, str | None]]:
        url, _, version = text.partition("#")[0].partition("|")
        types: Sequence[str] = [target] if target else parameter.targets or self._known.types
        if url:
            yield from ((type_, url, version or None) for type_ in types if self.has_url(type_))

    def has_url(self, type_: str) -> bool:
        """Whether canonicals can name resources of a type."""
        found = self._known.get(type_, "url")
        return found is not None and found.type == "uri"


def is_canonical(parameter: SearchParameter) -> bool:
    """Whether a parameter's references name urls of their targets."""
    expression = parameter.expression()
    branches = expression.branches if expression else ()
    return any(nearest(_WAYS, branch.type, definitions()) is _uri for branch in branches)


# Gives texts, each after whether it is a canonical.
_Texts = Iterable[tuple[bool, str]]
_Reader = Callable[[dict[str, Any]], _Texts]


def _readers(parameter: SearchParameter) -> list[_Reader]:
    expression = parameter.expression()
    found: list[_Reader] = []
    for branch in expression.branches if expression else ():
        way = nearest(_WAYS, branch.type, definitions())
        if way is not None:
            found.append(_reader(way, branch.values()))
    return found


def _reader(way: Callable[[Any], _Texts], values: Callable[[Any, Any], list[Any]]) -> _Reader:
    return lambda resource: [text for value in values(resource, resource) for text in way(value)]


def _reference(reference: Any) -> _Texts:
    text = reference.get("reference")
    return ((False, text),) if text else ()


def _uri(uri: Any) -> _Texts:
    return ((True, uri),)


def _resource(resource: Any) -> _Texts:
    return ((False, f"{resource['resourceType']}/{resource['id']}"),)


def _extension(extension: Any) -> _Texts:
    if "valueReference" in extension:
        return _reference(extension["valueReference"])
    return [(True, extension[name]) for name in ("valueCanonical", "valueUri") if name in extension]


_WAYS: dict[str, Callable[[Any], _Texts]] = {
    "Extension": _extension,
    "Reference": _reference,
    "Resource": _resource,
    "uri": _uri,
}
