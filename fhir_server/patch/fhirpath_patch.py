"""FHIRPath Patch: operations in a Parameters resource (R4 fhirpatch.html)."""

import time
from collections.abc import Callable
from typing import Any

from fhir_server import fhirpath
from fhir_server.fhir_json import decode
from fhir_server.fhirpath.nodes import Node, root_node
from fhir_server.patch.places import NotPossible, Place, place_in, place_of
from fhir_server.patch.problems import (
    Patch,
    check_number,
    check_time,
    malformed,
    operation_failed,
    operation_malformed,
)
from fhir_server.patch.values import Value, read_value
from fhir_server.xml import decode_xml

# What each type of operation needs beside its path.
_NEEDS = {
    "add": ("name", "value"),
    "insert": ("index", "value"),
    "delete": (),
    "replace": ("value",),
    "move": ("source", "destination"),
}
_KINDS = {"type": str, "path": str, "name": str, "index": int, "source": int, "destination": int}

Operation = dict[str, Any]


def read_fhirpath_json(data: bytes) -> Patch:
    """The patch in a Parameters resource as JSON. Raises `Invalid` for what is none."""
    return fhirpath_patch(decode(data))


def read_fhirpath_xml(data: bytes) -> Patch:
    """The patch in a Parameters resource as XML. Raises `Invalid` for what is none."""
    return fhirpath_patch(decode_xml(data))


def fhirpath_patch(parameters: Any) -> Patch:
    """The patch in a Parameters resource.

    Raises `Invalid` for what is no FHIRPath Patch, naming the operation by its index from 0.
    """
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise malformed("A FHIRPath Patch is a Parameters resource")
    given = parameters.get("parameter", [])
    if not isinstance(given, list):
        raise malformed("Parameters.parameter is an array")
    check_number(len(given))
    operations = [_operation(index, parameter) for index, parameter in enumerate(given)]
    return lambda resource: _apply(operations, resource)


def _operation(index: int, parameter: Any) -> Operation:
    if not isinstance(parameter, dict) or parameter.get("name") != "operation":
        raise operation_malformed(index, "expected a parameter with the name 'operation'")
    parts = parameter.get("part")
    if not isinstance(parts, list):
        raise operation_malformed(index, "it has no parts; expected type and path")
    operation: Operation = {}
    for part in parts:
        name = part.get("name") if isinstance(part, dict) else None
        if name in operation or (name not in _KINDS and name != "value"):
            problem = f"the part {str(name)[:80]!r} is unknown or given twice"
            raise operation_malformed(index, problem)
        operation[name] = read_value(part) if name == "value" else _simple(index, name, part)
    _check(index, operation)
    return operation


def _simple(index: int, name: str, part: dict[str, Any]) -> Any:
    values = [value for key, value in part.items() if key.startswith("value")]
    if len(values) != 1 or type(values[0]) is not _KINDS[name]:
        wanted = "a string" if _KINDS[name] is str else "an integer"
        raise operation_malformed(index, f"expected {wanted} as {name}")
    return values[0]


def _check(index: int, operation: Operation) -> None:
    type_ = operation.get("type")
    if type_ not in _NEEDS:
        problem = f"its type is {str(type_)[:80]!r}; expected {', '.join(_NEEDS)}"
        raise operation_malformed(index, problem)
    for name in ("path", *_NEEDS[type_]):
        if operation.get(name) is None:
            raise operation_malformed(index, f"{type_} needs {name}")
    try:
        fhirpath.compile(operation["path"])
    except fhirpath.FhirPathSyntaxError as error:
        raise operation_malformed(index, str(error)) from None
    except fhirpath.FhirPathError:
        return  # refused when it is applied, where the message knows the type


def _apply(operations: list[Operation], resource: dict[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    for index, operation in enumerate(operations):
        check_time(started, index)
        try:
            _OPERATIONS[operation["type"]](operation, _nodes(operation, resource))
        except (NotPossible, fhirpath.FhirPathError) as error:
            told = f"{operation['type']} {operation['path'][:200]!r}: {error}"
            raise operation_failed(index, told) from None
        except RecursionError:
            raise operation_failed(index, "the value is nested too deeply") from None
    return resource


def _nodes(operation: Operation, resource: dict[str, Any]) -> list[Node]:
    # A path that cannot lead anywhere in this type is refused, even for delete.
    compiled = fhirpath.compile(operation["path"], type_name=resource["resourceType"])
    items = compiled.evaluate_items(root_node(resource))
    nodes = [item for item in items if isinstance(item, Node)]
    if len(nodes) != len(items):
        raise NotPossible("the path gives a value, not an element of the resource")
    return nodes


def _one(nodes: list[Node]) -> Node:
    if len(nodes) != 1:
        raise NotPossible("nothing is there" if not nodes else f"it gives {len(nodes)} elements")
    return nodes[0]


def _add(operation: Operation, nodes: list[Node]) -> None:
    value: Value = operation["value"]
    place = place_in(_one(nodes), operation["name"], value)
    slots = place.load()
    if place.is_there() and not place.repeats:
        raise NotPossible(f"{operation['name']!r} is there already; expected replace")
    place.store([*slots, place.made(value)])


def _insert(operation: Operation, nodes: list[Node]) -> None:
    place, slots = _whole_list(nodes)
    index = operation["index"]
    if not 0 <= index <= len(slots):
        raise NotPossible(f"the index {index} is outside of 0 to {len(slots)}")
    slots.insert(index, place.made(operation["value"]))
    place.store(slots)


def _delete(operation: Operation, nodes: list[Node]) -> None:
    if not nodes:
        return  # as if it had been deleted before
    node = _one(nodes)
    place = place_of(node)
    slots = place.load()
    del slots[node.index or 0]
    place.store(slots)


def _replace(operation: Operation, nodes: list[Node]) -> None:
    node = _one(nodes)
    value: Value = operation["value"]
    old = place_of(node)
    new = old.for_value(value)
    slots = old.load()
    slots[node.index or 0] = new.made(value)
    old.store([])
    new.store(slots)


def _move(operation: Operation, nodes: list[Node]) -> None:
    place, slots = _whole_list(nodes)
    source, destination = operation["source"], operation["destination"]
    for index in (source, destination):
        if not 0 <= index < len(slots):
            raise NotPossible(f"the index {index} is outside of 0 to {len(slots) - 1}")
    slots.insert(destination, slots.pop(source))
    place.store(slots)


def _whole_list(nodes: list[Node]) -> tuple[Place, list[Any]]:
    if not nodes:
        raise NotPossible("nothing is there")
    place = place_of(nodes[0])
    slots = place.load()
    same = all(node.parent is nodes[0].parent and node.child is nodes[0].child for node in nodes)
    if not place.repeats or not same or len(nodes) != len(slots):
        raise NotPossible("the path does not give one whole list")
    return place, slots


_OPERATIONS: dict[str, Callable[[Operation, list[Node]], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
