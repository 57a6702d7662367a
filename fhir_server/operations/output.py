"""What an operation answers: a resource, or Parameters (R4 operations.html#response)."""

from collections.abc import Sequence
from typing import Any

from fhir_server.fhir_json import encode
from fhir_server.interactions.result import Result

Part = dict[str, Any]


def value(name: str, type_: str, content: Any) -> Part:
    """A parameter with a value of a type."""
    return {"name": name, f"value{type_[0].upper()}{type_[1:]}": content}


def group(name: str, parts: Sequence[Part]) -> Part:
    """A parameter with parts."""
    return {"name": name, "part": list(parts)}


def parameters(parts: Sequence[Part]) -> Result:
    """An answer of several parameters."""
    return resource({"resourceType": "Parameters", "parameter": list(parts)})


def resource(content: dict[str, Any]) -> Result:
    """An answer that is one resource."""
    return Result(200, encode(content))
