"""Elements that somebody does not see: left out of what is sent, kept when they write."""

from collections.abc import Collection, Mapping
from typing import Any

from fhir_server.fhir_json import decode, encode, encode_sorted
from fhir_server.outcome import Forbidden, Issue
from fhir_server.security.access import Access

Resource = dict[str, Any]

# That something was left out (R4 search.html#elements asks for it there, and so it is known).
_SYSTEM, _CODE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED"
_TAG = {"system": _SYSTEM, "code": _CODE, "display": "Elements that you may not see are left out"}


def without_hidden(access: Access, body: bytes) -> bytes:
    """The JSON of an answer without what is hidden, in whatever it holds; the same if nothing is.

    access: of whom it is for.
    """
    if not any(b'"%s"' % type_.encode() in body for type_ in access.hiding):
        return body
    content = decode(body)
    return encode(content) if _veil(access, content) else body


def _veil(access: Access, value: Any) -> bool:
    """Leave out, in place, what is hidden in a resource and in those it holds; whether any was."""
    if not isinstance(value, dict | list):
        return False
    found = False
    for item in value.values() if isinstance(value, dict) else value:
        found |= _veil(access, item)
    if isinstance(value, list):
        return found
    type_ = value.get("resourceType")
    hidden = access.hidden(type_) if isinstance(type_, str) else frozenset()
    return _leave_out(value, hidden) or found


def _leave_out(resource: Resource, hidden: Collection[str]) -> bool:
    parts = hidden_parts(resource, hidden)
    if not parts:
        return False
    for key in parts:
        rest = (
            [each for each in resource[key] if each not in parts[key]]
            if _partial(key, hidden)
            else []
        )
        if rest:
            resource[key] = rest
        else:
            del resource[key]
    meta = dict(resource.get("meta") or {})
    meta["tag"] = [*meta.get("tag", ()), _TAG]
    resource["meta"] = meta
    return True


def hidden_parts(resource: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """What a resource has of hidden elements, by JSON key.

    hidden: names of elements, those with a choice of types with `[x]`; `extension:URL` for the
        extensions with a URL.
    """
    found: dict[str, Any] = {}
    for name in hidden:
        element, _, url = name.partition(":")
        if url:
            extensions = [each for each in resource.get(element, ()) if each.get("url") == url]
            if extensions:
                found[element] = [*found.get(element, ()), *extensions]
            continue
        found |= {key: value for key, value in resource.items() if is_of(key, element)}
    return found


def _partial(key: str, hidden: Collection[str]) -> bool:
    """Whether only some of the values of an element are hidden."""
    return key not in hidden and any(name.startswith(f"{key}:") for name in hidden)


def is_of(key: str, element: str) -> bool:
    """Whether a JSON key is of an element: `valueQuantity` is of `value[x]`."""
    key = key.removeprefix("_")
    start = element.removesuffix("[x]")
    return key == element or (start != element and key.startswith(start))


def keeping_hidden(access: Access, new: Resource, old: Mapping[str, Any] | None) -> Resource:
    """What somebody stores, with the values of elements that they do not see as they were.

    Raises a 403 `Refusal` for one that brings such an element itself.
    """
    type_ = new["resourceType"]
    hidden = access.hidden(type_)
    if not hidden:
        return new
    had = hidden_parts(old or {}, hidden)
    brought = hidden_parts(new, hidden)
    strange = sorted(
        key
        for key, value in brought.items()
        if encode_sorted({"v": value}) != encode_sorted({"v": had.get(key)})
    )
    if strange:
        names = ", ".join(f"{type_}.{key}" for key in strange)
        raise Forbidden(
            Issue("forbidden", f"You may not write {names}, which you may not see"),
        )
    kept = dict(new)
    for key, value in had.items():
        if key not in brought:
            kept[key] = [*kept.get(key, ()), *value] if _partial(key, hidden) else value
    return _untagged(kept)


def _untagged(resource: Resource) -> Resource:
    """Without the tag that told that something was left out: nothing is any more."""
    meta = resource.get("meta") or {}
    tags = [each for each in meta.get("tag", ()) if each != _TAG]
    if len(tags) == len(meta.get("tag", ())):
        return resource
    rest = {name: value for name, value in meta.items() if name != "tag"}
    return resource | {"meta": rest | ({"tag": tags} if tags else {})}
