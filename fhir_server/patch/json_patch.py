"""JSON Patch (RFC 6902) on the JSON form of a resource."""

import re
import time
from typing import Any

from jsonpatch import (
    JsonPatch,
    JsonPatchConflict,
    JsonPatchException,
    JsonPatchPathNotFound,
    JsonPatchTestFailed,
)
from jsonpointer import EndOfList, JsonPointer, JsonPointerException

from fhir_server.fhir_json import decode, encode
from fhir_server.outcome import Issue, Refusal
from fhir_server.patch.problems import (
    Patch,
    check_number,
    check_time,
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
    started = time.monotonic()
    for index, operation in enumerate(operations):
        check_time(started, index)
        try:
            if operation["op"] == "copy":
                copied += _size(JsonPointer(operation["from"]).resolve(resource))
                _check_copied(copied, index)
            resource = JsonPatch([operation]).apply(resource, in_place=True)
        except (JsonPatchException, JsonPointerException, TypeError) as error:
            raise operation_failed(index, _told(operation, resource, error)) from None
        except RecursionError:
            raise operation_failed(index, "the result is nested too deeply") from None
    return resource


def _problem(operation: Any) -> str | None:
    if not isinstance(operation, dict):
        return "expected an object with op and path"
    op = operation.get("op")
    if op not in _OPERATIONS:
        return f"op is {_quoted(op)}; expected {', '.join(_OPERATIONS)}"
    for name in _pointers(operation):
        pointer = operation.get(name)
        if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
            return f"{name} is {_quoted(pointer)}; expected a JSON Pointer such as '/name/0'"
    if op in _NEEDS_VALUE and "value" not in operation:
        return f"{op} has no value"
    return None


def _pointers(operation: dict[str, Any]) -> tuple[str, ...]:
    return ("from", "path") if operation["op"] in _NEEDS_FROM else ("path",)


def _told(operation: dict[str, Any], resource: Any, error: Exception) -> str:
    """What went wrong, in other words than the library's, which show the whole resource."""
    missing = next(
        (
            dead_end
            for name in _pointers(operation)
            if (dead_end := _dead_end(resource, operation[name]))
        ),
        None,
    )
    if isinstance(error, JsonPatchTestFailed) and missing is None:
        found = JsonPointer(operation["path"]).resolve(resource)
        problem = f"it is {_json(found)}; expected {_json(operation['value'])}"
    elif isinstance(error, JsonPatchConflict) and not isinstance(error, JsonPatchPathNotFound):
        problem = str(error.args[0])[:_QUOTED_MOST]
    else:
        problem = f"there is no {_quoted(missing)}" if missing is not None else "it does not fit"
    return f"{operation['op']} {_quoted(operation['path'])}: {problem}"


def _dead_end(resource: Any, pointer: str) -> str | None:
    """The shortest part of a pointer that leads nowhere; None if all of it leads somewhere."""
    found, path = resource, ""
    for part in pointer.split("/")[1:]:
        path = f"{path}/{part}"
        try:
            found = JsonPointer(f"/{part}").resolve(found)
        except JsonPointerException:
            return path
        if isinstance(found, EndOfList):
            return path
    return None


def _json(value: Any) -> str:
    try:
        text = encode(value).decode()
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= _QUOTED_MOST else text[:_QUOTED_MOST] + "…"


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
