"""The value of a FHIRPath Patch operation: a value of a type, a resource, or named parts."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Value:
    """What is to be put somewhere.

    suffix: the type as the name of the property has it, `Date` in `valueDate`; empty for parts
        and resources.
    content: the value, None for a primitive with extensions only; extra: its extensions and id.
    parts: named values, for elements whose type has no name of its own.
    """

    suffix: str = ""
    content: Any = None
    extra: Any = None
    parts: tuple[tuple[str, "Value"], ...] = ()

    def copied(self) -> tuple[Any, Any]:
        """Content and extra, free to be changed."""
        return deepcopy(self.content), deepcopy(self.extra)


def read_value(part: dict[str, Any]) -> Value | None:
    """The value that a parameter has; None for none, or for one of several kinds."""
    names = {
        key.removeprefix("_").removeprefix("value")
        for key in part
        if key.startswith(("value", "_value"))
    }
    kinds = bool(names) + ("resource" in part) + ("part" in part)
    if kinds != 1 or len(names) > 1:
        return None
    if names:
        (suffix,) = names
        return Value(suffix, part.get(f"value{suffix}"), part.get(f"_value{suffix}"))
    if "resource" in part:
        return Value(content=part["resource"])
    return _of_parts(part["part"])


def _of_parts(parts: Any) -> Value | None:
    if not isinstance(parts, list) or not parts:
        return None
    found = []
    for part in parts:
        name = part.get("name") if isinstance(part, dict) else None
        value = read_value(part) if isinstance(name, str) else None
        if value is None or not isinstance(name, str):
            return None
        found.append((name, value))
    return Value(parts=tuple(found))
