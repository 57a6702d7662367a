"""A small implementation guide as a package."""

from pathlib import Path
from typing import Any

from tests.packages.test_reader import tgz

Json = dict[str, Any]

CORE = "http://hl7.org/fhir/StructureDefinition/"
URL = "http://example.org/guide"
PROFILE = f"{URL}/StructureDefinition/named-patient"


def profile(
    name: str, *elements: Json, base: str = f"{CORE}Patient", type_: str = "Patient"
) -> Json:
    """A StructureDefinition without a snapshot."""
    return {
        "resourceType": "StructureDefinition",
        "id": name,
        "url": f"{URL}/StructureDefinition/{name}",
        "version": "1.0.0",
        "name": "Guide",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": type_,
        "baseDefinition": base,
        "derivation": "constraint",
        "differential": {"element": [{"id": type_, "path": type_}, *elements]},
    }


NAMED = profile(
    "named-patient",
    {"id": "Patient.name", "path": "Patient.name", "min": 1},
    {
        "id": "Patient.maritalStatus",
        "path": "Patient.maritalStatus",
        "binding": {"strength": "required", "valueSet": f"{URL}/ValueSet/colours"},
    },
)
COLOURS = {
    "resourceType": "CodeSystem",
    "id": "colours",
    "url": f"{URL}/CodeSystem/colours",
    "version": "1.0.0",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "red"}, {"code": "blue"}],
}
COLOUR_VALUES = {
    "resourceType": "ValueSet",
    "id": "colours",
    "url": f"{URL}/ValueSet/colours",
    "version": "1.0.0",
    "status": "active",
    "compose": {"include": [{"system": f"{URL}/CodeSystem/colours"}]},
}
FAVOURITE = {
    "resourceType": "SearchParameter",
    "id": "favourite",
    "url": f"{URL}/SearchParameter/favourite",
    "version": "1.0.0",
    "name": "Favourite",
    "status": "active",
    "description": "The colour",
    "code": "favourite",
    "base": ["Patient"],
    "type": "token",
    "expression": "Patient.maritalStatus",
}
EXAMPLE = {
    "resourceType": "Patient",
    "id": "guide-example",
    "meta": {"profile": [PROFILE]},
    "name": [{"family": "Example"}],
}


def write_package(
    path: Path,
    *resources: Json,
    name: str = "example.guide",
    version: str = "1.0.0",
    dependencies: dict[str, str] | None = None,
    examples: tuple[Json, ...] = (EXAMPLE,),
) -> Path:
    """Write a package; without resources, all of the guide's."""
    resources = resources or (NAMED, COLOURS, COLOUR_VALUES, FAVOURITE)
    manifest = {
        "name": name,
        "version": version,
        "canonical": URL,
        "fhirVersions": ["4.0.1"],
        "dependencies": {"hl7.fhir.r4.core": "4.0.1"} | (dependencies or {}),
    }
    files: Json = {"package/package.json": manifest}
    for number, resource in enumerate(resources):
        files[f"package/{resource['resourceType']}-{number}.json"] = resource
    for number, resource in enumerate(examples):
        files[f"package/example/{resource['resourceType']}-{number}.json"] = resource
    path.write_bytes(tgz(files).getvalue())
    return path
