"""Calling operations, and holding what they answer against their OperationDefinitions."""

from collections.abc import Sequence
from typing import Any

import httpx

from fhir_server.operations.registry import OPERATIONS
from fhir_server.spec import definitions
from fhir_server.spec.model import OperationDefinitionFacts, OperationParameter
from fhir_server.validation.structure import StructureCheck
from tests.answers import resource_of

Json = dict[str, Any]

_STRUCTURE = StructureCheck(definitions())


def parameters(*items: Json) -> Json:
    """A Parameters resource."""
    return {"resourceType": "Parameters", "parameter": list(items)}


def facts(name: str) -> OperationDefinitionFacts:
    """The OperationDefinition of a registered operation."""
    (operation,) = [item for item in OPERATIONS if item.name == name]
    (found,) = [each for each in definitions().operations if each.url == operation.url]
    return found


def answered(name: str, answer: httpx.Response, status: int = 200) -> Json:
    """What an operation answered, which must be as its definition says."""
    found = resource_of(answer, status)
    issues = _STRUCTURE.check(found).issues
    assert not issues, issues
    out = [item for item in facts(name).parameters if item.use == "out"]
    if not out:
        # R4 defines no output of $document, whose answer is a Bundle.
        return found
    single = out[0] if len(out) == 1 else None
    if single and (single.type in definitions().resource_types or single.type == "Resource"):
        assert single.type in ("Resource", found["resourceType"])
        return found
    assert found["resourceType"] == "Parameters"
    _check_parts(found["parameter"], out)
    return found


def _check_parts(parts: Sequence[Json], out: Sequence[OperationParameter]) -> None:
    known = {item.name: item for item in out}
    for part in parts:
        definition = known[part["name"]]
        if definition.type is None:
            _check_parts(part["part"], definition.parts)
        elif definition.type in definitions().resource_types:
            assert part["resource"]["resourceType"] == definition.type
        elif definition.type != "Element":
            assert f"value{definition.type[0].upper()}{definition.type[1:]}" in part, part
    for item in out:
        count = sum(part["name"] == item.name for part in parts)
        assert item.min <= count, f"{item.name} is given {count} times"
        assert item.max is None or count <= item.max, f"{item.name} is given {count} times"


def values(found: Json) -> dict[str, Any]:
    """The values of a Parameters resource by name; parts as values by name; the last of a name."""
    return {part["name"]: _value(part) for part in found["parameter"]}


def all_values(found: Json, name: str) -> list[Any]:
    """Every value of a parameter."""
    return [_value(part) for part in found["parameter"] if part["name"] == name]


def _value(part: Json) -> Any:
    if "part" in part:
        return {each["name"]: _value(each) for each in part["part"]}
    return next(value for key, value in part.items() if key != "name")
