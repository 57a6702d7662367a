"""Whether a resource holds at least what another one does (assert.minimumId)."""

from collections.abc import Iterator
from typing import Any


def missing(minimum: Any, actual: Any, path: str) -> Iterator[str]:
    """Where `actual` lacks something of `minimum`, with what was expected.

    Objects may have more elements; each item of an array must be in some item of its own; the order
    of arrays is free.
    """
    if isinstance(minimum, dict):
        if not isinstance(actual, dict):
            yield f"{path}: expected an object"
            return
        for key, value in minimum.items():
            if key in actual:
                yield from missing(value, actual[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: is missing"
    elif isinstance(minimum, list):
        yield from _missing_items(minimum, actual, path)
    elif minimum != actual or isinstance(minimum, bool) != isinstance(actual, bool):
        yield f"{path}: expected {minimum!r}, found {actual!r}"


def _missing_items(minimum: list[Any], actual: Any, path: str) -> Iterator[str]:
    if not isinstance(actual, list):
        yield f"{path}: expected an array"
        return
    fits = [[n for n, item in enumerate(actual) if _within(wanted, item)] for wanted in minimum]
    taken: dict[int, int] = {}
    for wanted in range(len(minimum)):
        if _place(wanted, fits, taken, set()):
            continue
        if len(minimum) == len(actual) == 1:
            yield from missing(minimum[0], actual[0], f"{path}[0]")
        else:
            yield f"{path}[{wanted}]: no item of {len(actual)} has all of it"


def _within(minimum: Any, actual: Any) -> bool:
    return next(missing(minimum, actual, ""), None) is None


def _place(wanted: int, fits: list[list[int]], taken: dict[int, int], tried: set[int]) -> bool:
    """Find an item of its own for each, moving earlier choices where that helps."""
    for item in fits[wanted]:
        if item in tried:
            continue
        tried.add(item)
        if item not in taken or _place(taken[item], fits, taken, tried):
            taken[item] = wanted
            return True
    return False
