"""A resource of a message over the one that is stored: what is new, what stays, what is deleted.

HL7 v2 2.6: a field that says nothing changes nothing, one that says `""` deletes what it held.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.mapping.entries import Deletion, Entry, Resource
from fhir_server.mapping.times import moment_of
from fhir_server.spec import definitions

# Parts of these stay when a message says only others.
_PARTED = frozenset({"period", "hospitalization", "collection"})
# ORD-13: of an order that is known. How it stands is for the steps of its workflow.
_KEPT_OF_ORDERS = frozenset({"status", "intent", "category", "subject", "authoredOn"})


def is_older(entry: Entry, current: Resource) -> bool:
    """Whether a message tells of an earlier state than the stored one."""
    name = entry.rules.data.get("newer") if entry.rules else None
    if not name or name not in current or name not in entry.resource:
        return False
    mine, stored = moment_of(str(entry.resource[name])), moment_of(str(current[name]))
    return mine is not None and stored is not None and mine < stored


def merged(entry: Entry, current: Resource) -> Resource:
    """The stored resource with what a message says of it; equal to it if that is nothing new."""
    new = entry.resource
    if entry.name == "order":
        new = {name: value for name, value in new.items() if name not in _KEPT_OF_ORDERS}
    result = dict(current)
    for deletion in entry.deletions:
        _delete(result, deletion)
    ways: Mapping[str, str] = entry.rules.data.get("lists", {}) if entry.rules else {}
    for name, value in new.items():
        if name == "resourceType":
            continue
        for variant in _variants(entry.type, name):
            result.pop(variant, None)
            result.pop(f"_{variant}", None)
        result[name] = _over(result.get(name), value, name, ways.get(name, "replace"))
    for name in [each for each in result if each.startswith("_") and each[1:] in new]:
        if name not in new:
            del result[name]
    return _pruned(result)


def _over(stored: Any, value: Any, name: str, way: str) -> Any:
    if name == "contained" and stored:
        known = {each.get("id") for each in stored}
        return [*stored, *(each for each in value if each.get("id") not in known)]
    if name == "meta" and stored:
        return stored | {each: _union(stored.get(each, []), value[each]) for each in value}
    if name in _PARTED and isinstance(stored, dict):
        return stored | value
    if not isinstance(value, list) or not isinstance(stored, list):
        return value
    if way == "union":
        return _union(stored, value)
    if way in ("use", "url"):
        said = {each.get(way) for each in value}
        return [*(each for each in stored if each.get(way) not in said), *value]
    return value


def _union(stored: Sequence[Any], value: Sequence[Any]) -> list[Any]:
    """What is stored, brought up to date, and then what is new."""
    found = {_sameness(each): each for each in value}
    kept = [found.pop(_sameness(each), each) for each in stored]
    return [*kept, *found.values()]


def _sameness(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    if "value" in item and "system" in item:
        return item["system"], item["value"]
    if "reference" in item:
        return item["reference"]
    return repr(sorted(item.items(), key=lambda pair: pair[0]))


def _variants(type_: str, name: str) -> list[str]:
    """The other names of a choice, such as `valueString` for `valueQuantity`."""
    elements = definitions().types[type_].elements
    if name in elements:
        return []
    for element in elements.values():
        if element.choice and name.startswith(element.name):
            names = [element.name + t.code[:1].upper() + t.code[1:] for t in element.types]
            if name in names:
                return [each for each in names if each != name]
    return []


def _delete(resource: Resource, deletion: Deletion) -> None:
    *parents, name = deletion.element.split(".")
    target: Any = resource
    for number, parent in enumerate(parents):
        inner = target.get(parent)
        if not isinstance(inner, dict):
            return
        target[parent] = dict(inner)
        target = target[parent]
        del number
    if not deletion.items:
        target.pop(name, None)
        target.pop(f"_{name}", None)
        return
    wanted = dict(deletion.items)
    items = target.get(name, [])
    kept = [each for each in items if any(each.get(n) != v for n, v in wanted.items())]
    if kept:
        target[name] = kept
    else:
        target.pop(name, None)


def _pruned(resource: Resource) -> Resource:
    """A resource without contained ones that nothing refers to any more."""
    contained = resource.get("contained")
    if not contained:
        return resource
    named = set(_references({n: v for n, v in resource.items() if n != "contained"}))
    while True:
        kept = [each for each in contained if f"#{each.get('id')}" in named]
        more = named | {name for each in kept for name in _references(each)}
        if more == named:
            break
        named = more
    rest = {name: value for name, value in resource.items() if name != "contained"}
    return rest | ({"contained": kept} if kept else {})


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [each for inner in value.values() for each in _references(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _references(inner)]
    return []
