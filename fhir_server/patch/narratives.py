"""Narratives that a change of format must leave as they were."""

from collections.abc import Mapping
from typing import Any


def narratives(value: Any) -> list[str]:
    """The text of every narrative in a resource, in the order of their paths."""
    found: list[str] = []
    _gather(value, found)
    return found


def _gather(value: Any, found: list[str]) -> None:
    if isinstance(value, dict):
        for name in sorted(value):
            item = value[name]
            if name == "div" and isinstance(item, str):
                found.append(item)
            else:
                _gather(item, found)
    elif isinstance(value, list):
        for item in value:
            _gather(item, found)


def with_narratives(value: Any, originals: Mapping[str, str]) -> Any:
    """The resource with each narrative that has an original put back to it, in place."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "div" and isinstance(item, str):
                value[name] = originals.get(item, item)
            else:
                with_narratives(item, originals)
    elif isinstance(value, list):
        for item in value:
            with_narratives(item, originals)
    return value
