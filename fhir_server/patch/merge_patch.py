"""JSON Merge Patch (RFC 7396) on the JSON form of a resource."""

from typing import Any

from fhir_server.fhir_json import decode
from fhir_server.patch.problems import Patch, malformed


def read_merge_patch(data: bytes) -> Patch:
    """The patch in a JSON document. Raises `Invalid` for what is no object."""
    document = decode(data)
    if not isinstance(document, dict):
        raise malformed("A JSON merge patch of a resource is an object")
    return lambda resource: merged(resource, document)


def merged(target: Any, patch: Any) -> Any:
    """What a merge patch makes of a value, which is changed in place (RFC 7396 section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
