"""How often an element stands there: arrays, single values, and the siblings of primitives."""

from typing import Any

from fhir_server.outcome import Issue
from fhir_server.validation.found import MOST_ISSUES, Check, Found, Walk, expected, located

_NO_NULL = "null is not allowed here: leave the element out."


def repeated(check: Check) -> Check:
    """An array of complex values."""

    def check_all(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        if type(value) is not list:
            found = None if value is None else check(value, container, key, walk)
            return _no_array(value) + (found or [])
        if not value:
            return _empty_array()
        found = None
        for index, item in enumerate(value):
            issues = check(item, value, index, walk)
            if issues is not None:
                found = (found or []) + located(f"[{index}]", issues)
                if len(found) >= MOST_ISSUES:
                    break
        return found

    return check_all


def repeated_primitive(check: Check, name: str) -> Check:
    """An array of primitives; null only where `_name` has an element (R4 json.html#primitive)."""
    sibling = f"_{name}"

    def check_all(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        if type(value) is not list:
            found = None if value is None else check(value, container, key, walk)
            return _no_array(value) + (found or [])
        if not value:
            return _empty_array()
        found = None
        for index, item in enumerate(value):
            if item is None and _stands(container.get(sibling), index):
                continue
            issues = check(item, value, index, walk)
            if issues is not None:
                found = (found or []) + located(f"[{index}]", issues)
                if len(found) >= MOST_ISSUES:
                    break
        return found

    return check_all


def single_sibling(element: Check, name: str) -> Check:
    """`_name` beside a single primitive: an object with `id` and `extension`."""

    def check(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        found = element(value, container, key, walk)
        return _without_value(value, name) if found is None and name not in container else found

    return check


def repeated_sibling(element: Check, name: str) -> Check:
    """`_name` beside an array of primitives: as long as it, null where there is nothing to say."""

    def check(value: Any, container: Any, _key: Any, walk: Walk) -> Found:
        if type(value) is not list:
            return _no_array(value)
        if not value:
            return _empty_array()
        values = container.get(name)
        if type(values) is list and len(values) != len(value):
            return [
                Issue(
                    "structure",
                    f"{name} has {len(values)} entries and _{name} has {len(value)}:"
                    " expected as many, with null where there is nothing.",
                )
            ]
        found: Found = None
        for index, item in enumerate(value):
            if item is None:
                issues = None if _stands(values, index) else [Issue("structure", _NO_NULL)]
            else:
                issues = element(item, value, index, walk)
                if issues is None and not _stands(values, index):
                    issues = _without_value(item, name)
            if issues is not None:
                found = (found or []) + located(f"[{index}]", issues)
                if len(found) >= MOST_ISSUES:
                    break
        return found

    return check


def _without_value(element: dict[str, Any], name: str) -> Found:
    """An element says something by its value or by extensions; an id alone says nothing."""
    if "extension" in element:
        return None
    return [Issue("structure", f"_{name} without a value in {name} needs an extension.")]


def _stands(values: Any, index: int) -> bool:
    """Whether the other array has something at the same place."""
    return type(values) is list and index < len(values) and values[index] is not None


def _no_array(value: Any) -> list[Issue]:
    return expected("an array, because the element may repeat", value)


def _empty_array() -> list[Issue]:
    return [Issue("structure", "An array must not be empty: leave the element out.")]
