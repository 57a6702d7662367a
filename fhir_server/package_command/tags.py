"""Which package a resource came with: a tag that every client can see and search by."""

from typing import Any

from fhir_server.packages import Manifest

Json = dict[str, Any]

SYSTEM = "urn:fhir-server:package"


def tag(manifest: Manifest) -> str:
    """How the tag of a package reads: `name#version`."""
    return f"{manifest.name}#{manifest.version}"


def tags(resource: Json) -> set[str]:
    """The packages that a resource came with."""
    return {each["code"] for each in _meta_tags(resource) if each.get("system") == SYSTEM}


def tagged(resource: Json, packages: set[str]) -> Json:
    """The resource with the tags of these packages and of no others."""
    kept = [each for each in _meta_tags(resource) if each.get("system") != SYSTEM]
    kept += ({"system": SYSTEM, "code": code} for code in sorted(packages))
    meta = {key: value for key, value in resource.get("meta", {}).items() if key != "tag"}
    return resource | {"meta": meta | ({"tag": kept} if kept else {})}


def _meta_tags(resource: Json) -> list[Json]:
    found: list[Json] = resource.get("meta", {}).get("tag", [])
    return found
