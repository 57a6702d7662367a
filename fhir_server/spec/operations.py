"""What is kept of an OperationDefinition, be it R4's or the server's own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fhir_server.spec.model import OperationDefinitionFacts

# The base of the canonical URLs of what this server defines itself.
OWN_BASE = "https://fhir-server.example/r4"


def own_operations(folder: Path) -> Iterator[OperationDefinitionFacts]:
    """The operations that are defined by the JSON files of a folder.

    Raises ValueError, naming the file, for one that is no OperationDefinition of this server.
    """
    for path in sorted(folder.glob("*.json")):
        definition = msgspec.json.decode(path.read_bytes())
        url = f"{OWN_BASE}/OperationDefinition/{definition.get('id')}"
        if definition.get("resourceType") != "OperationDefinition" or definition.get("url") != url:
            raise ValueError(f"{path}: expected an OperationDefinition with the url {url}")
        yield msgspec.convert(facts(definition), OperationDefinitionFacts)


def facts(definition: Mapping[str, Any]) -> dict[str, Any]:
    """An OperationDefinition as `OperationDefinitionFacts` is stored."""
    return {
        "url": definition["url"],
        "name": definition["name"],
        "code": definition["code"],
        "system": definition["system"],
        "type": definition["type"],
        "instance": definition["instance"],
        "affects_state": definition.get("affectsState", False),
        "resources": definition.get("resource", []),
        "parameters": [_parameter(part) for part in definition.get("parameter", [])],
    }


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    optional = {
        "type": parameter.get("type"),
        "search_type": parameter.get("searchType"),
        "targets": [url.rpartition("/")[2] for url in parameter.get("targetProfile", [])],
        "parts": [_parameter(part) for part in parameter.get("part", [])],
    }
    return {
        "name": parameter["name"],
        "use": parameter["use"],
        "min": parameter["min"],
        "max": None if parameter["max"] == "*" else int(parameter["max"]),
        **{name: value for name, value in optional.items() if value},
    }
