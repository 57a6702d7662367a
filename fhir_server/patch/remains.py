"""What is left when a patch has taken something away."""

from typing import Any

from fhir_server.outcome import Issue
from fhir_server.patch.problems import PatchFailed

# As deep as fhir_json reads.
DEEPEST = 200

_NOTHING: Any = object()


def without_empty(resource: Any) -> Any:
    """The resource without the objects and arrays that hold nothing, which FHIR does not have.

    So removing the last name removes `name` (R4 json.html: arrays and objects are never empty).
    Raises `PatchFailed` when it is nested too deeply.
    """
    remains = _remains(resource, DEEPEST)
    return {} if remains is _NOTHING else remains


def _remains(value: Any, depth: int) -> Any:
    if depth < 0:
        text = f"The patch nests the resource deeper than {DEEPEST} levels"
        raise PatchFailed(Issue("too-costly", text))
    if isinstance(value, dict):
        return _object(value, depth) or _NOTHING
    if isinstance(value, list):
        return _array([_remains(item, depth - 1) for item in value])
    return value


def _object(value: dict[str, Any], depth: int) -> dict[str, Any]:
    kept = {}
    for name, item in value.items():
        # In `_given` a place without extensions holds null, so that the others keep their place.
        if name.startswith("_") and isinstance(item, list):
            item = [None if part == {} else part for part in item]
            if all(part is None for part in item):
                continue
        remains = _remains(item, depth - 1)
        if remains is not _NOTHING:
            kept[name] = remains
    return kept


def _array(items: list[Any]) -> Any:
    return [item for item in items if item is not _NOTHING] or _NOTHING
