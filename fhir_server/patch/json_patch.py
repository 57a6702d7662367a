"""JSON Patch (RFC 6902) on the JSON form of a resource."""

import re
from typing import Any

from jsonpatch import InvalidJsonPatch, JsonPatch, JsonPatchException
from jsonpointer import JsonPointer, JsonPointerException

from fhir_server.fhir_json import decode
from fhir_server.outcome import Issue, Refusal
from fhir_server.patch.problems import (
    Patch,
    check_number,
    malformed,
    operation_failed,
    operation_malformed,
)

# A few copies of the whole into itself would otherwise fill any memory.
MOST_COPIED = 200_000

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_NEEDS_VALUE = frozenset({"add", "replace", "test"})
_NEEDS_FROM = frozenset({"move", "copy"})
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_QUOTED_MOST = 200


def read_json_patch(data: bytes) -> Patch:
    """The patch in a JSON document.

    Raises `Invalid` for what is no JSON Patch, naming the operation by its index from 0.
    """
    operations = decode(data)
    if not isinstance(operations, list):
        raise malformed("A JSON Patch is an array of operations")
    check_number(len(operations))
    for index, operation in enumerate(operations):
        if problem := _problem(operation):
            raise operation_malformed(index, problem)
    return lambda resource: apply_json_patch(operations, resource)


def apply_json_patch(operations: list[dict[str, Any]], resource: Any) -> Any:
    """What sound operations make of a JSON value, which is changed in place.

    Raises `PatchFailed` for the first that cannot be applied.
    """
    copied = 0
    for index, operation in enumerate(operations):
        try:
            if operation["op"] == "copy":
                copied += _size(JsonPointer(operation["from"]).resolve(resource))
                _check_copied(copied, index)
            resource = JsonPatch([operation]).apply(resource, in_place=True)
        except (JsonPatchException, JsonPointerException, TypeError) as error:
            raise operation_failed(index, _told(operation, error)) from None
        except RecursionError:
            raise operation_failed(index, "the result is nested too deeply") from None
    return resource


def _problem(operation: Any) -> str | None:
    if not isinstance(operation, dict):
        return "expected an object with op and path"
    op = operation.get("op")
    if op not in _OPERATIONS:
        return f"op is {_quoted(op)}; expected {', '.join(_OPERATIONS)}"
    for name in ("path", "from") if op in _NEEDS_FROM else ("path",):
        pointer = operation.get(name)
        if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
            return f"{name} is {_quoted(pointer)}; expected a JSON Pointer such as '/name/0'"
    if op in _NEEDS_VALUE and "value" not in operation:
        return f"{op} has no value"
    return None


def _told(operation: dict[str, Any], error: Exception) -> str:
    # The first argument alone, because the library's text goes on with the whole operation.
    problem = "it does not fit" if isinstance(error, InvalidJsonPatch) else error.args[0]
    return f"{operation['op']} {_quoted(operation['path'])}: {str(problem)[:_QUOTED_MOST]}"


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _QUOTED_MOST else text[:_QUOTED_MOST] + "…"


def _check_copied(copied: int, index: int) -> None:
    if copied > MOST_COPIED:
        text = f"Operation {index}: the patch copies more than {MOST_COPIED} values"
        raise Refusal(Issue("too-costly", text), status=413)


def _size(value: Any) -> int:
    """How many values there are in a value, up to a little over what may be copied."""
    size = 0
    waiting = [value]
    while waiting and size <= MOST_COPIED:
        item = waiting.pop()
        size += 1
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return size
