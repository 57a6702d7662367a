"""CodeSystems, ValueSets and ConceptMaps, without their prose for people."""

from fhir_server.spec.build.package import Json, Package

# What the terminology engine reads, and the notice under which a publisher lets codes be used.
_COMMON = ("url", "version", "name", "title", "status", "date", "language", "copyright")
_KEPT = {
    "CodeSystem": (
        "caseSensitive",
        "hierarchyMeaning",
        "content",
        "supplements",
        "count",
        "filter",
        "property",
        "concept",
    ),
    "ValueSet": ("compose",),
    "ConceptMap": ("sourceUri", "sourceCanonical", "targetUri", "targetCanonical", "group"),
}
_FOR_PEOPLE = frozenset({"id", "extension", "description"})


def terminology(package: Package, resource_type: str) -> list[Json]:
    """The resources of one type as FHIR writes them, URL first, with what `_KEPT` names."""
    names = (*_COMMON, *_KEPT[resource_type])
    return [
        {name: _bare(resource[name]) for name in names if name in resource}
        for resource in package.of(resource_type)
    ]


def _bare(value: object) -> object:
    """The value without element ids, extensions and descriptions at any depth."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _bare(item)
            for name, item in value.items()
            if name not in _FOR_PEOPLE and not name.startswith("_")
        }
    return value
