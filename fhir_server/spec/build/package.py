"""The resources of an unpacked FHIR package, and how built facts are written."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_EXAMPLE = re.compile(r"/example(-[^/]*)?$")


class Package:
    """The definitions of one FHIR package, by resource type in the order of their URLs."""

    def __init__(self, directory: Path) -> None:
        self._by_type: dict[str, list[Json]] = {}
        for path in sorted(directory.glob("*-*.json")):
            resource = json.loads(path.read_bytes())
            self._by_type.setdefault(resource.get("resourceType", ""), []).append(resource)
        if "StructureDefinition" not in self._by_type:
            raise SystemExit(f"{directory} holds no FHIR definitions (no StructureDefinition).")

    def of(self, resource_type: str) -> list[Json]:
        """The definitions of a type, sorted by URL, without the standard's example ones."""
        official = [
            resource
            for resource in self._by_type.get(resource_type, [])
            if not _EXAMPLE.search(resource["url"])
        ]
        return sorted(official, key=lambda resource: str(resource["url"]))


def said(entity: Json) -> Json:
    """The entity without what says nothing: None, False and empty values."""
    return {
        name: value
        for name, value in entity.items()
        if value is not None and value is not False and value != [] and value != {}
    }


def write(path: Path, entities: Iterable[Json]) -> int:
    """Write one entity a line, so that a new version of the standard shows as a diff."""
    lines = [json.dumps(entity, ensure_ascii=False, separators=(",", ":")) for entity in entities]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    return path.write_bytes(text.encode())
