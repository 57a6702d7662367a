"""Definitions as JSON files: those that come with the server, and those of a folder given to it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fhir_server.fhir_json import decode, encode_sorted
from fhir_server.indexing.profiles import check_parameters
from fhir_server.outcome import Refusal
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck

Json = dict[str, Any]

# The tag that tells what came with the server; its version is a digest of the rest.
SYSTEM = "urn:fhir-server:provided"
CODE = "definition"

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Provided:
    """A definition as it is provided.

    resource: with an id and the tag. digest: differs whenever anything in it does.
    """

    path: Path
    resource: Json
    digest: str

    @property
    def identity(self) -> tuple[str, str]:
        """Type and id."""
        return self.resource["resourceType"], self.resource["id"]


def read_provided(
    folders: Iterable[Path], structure: StructureCheck | None = None, *, known_good: bool = False
) -> tuple[Provided, ...]:
    """The definitions in the JSON files of some folders and below, in their order.

    A file without a resource, such as a table, is passed over. One without an id gets the name of
    its file as its id. Raises ValueError, naming the file, for what could not be put here by a
    client either, is no definition, or has the identity or the URL of another one.
    known_good: nothing of that is looked at, as the tests did; what a start would spend most on.
    """
    resources = list(_resources(folders))
    if not known_good:
        structure = structure or StructureCheck(definitions())
        for path, resource in resources:
            _check(path, resource, structure)
    found = tuple(_provided(path, resource) for path, resource in resources)
    if not known_good:
        _check_apart(found)
        check_parameters([(each.path, each.resource) for each in found])
    return found


def digest_of(resource: Mapping[str, Any]) -> str:
    """A digest of everything but what the server itself puts into `meta`."""
    meta = {
        name: value
        for name, value in (resource.get("meta") or {}).items()
        if name not in ("versionId", "lastUpdated", "tag")
    }
    tags = [tag for tag in (resource.get("meta") or {}).get("tag", ()) if not _is_ours(tag)]
    bare = {name: value for name, value in resource.items() if name != "meta"}
    return blake2b(encode_sorted([bare, meta, tags]), digest_size=16).hexdigest()


def tagged(resource: Json) -> Json:
    """The resource with the tag that tells its digest."""
    meta = dict(resource.get("meta") or {})
    tag = {"system": SYSTEM, "version": digest_of(resource), "code": CODE}
    meta["tag"] = [*(each for each in meta.get("tag", ()) if not _is_ours(each)), tag]
    return resource | {"meta": meta}


def told_digest(resource: Mapping[str, Any]) -> str:
    """The digest that its tag tells; empty if it has no such tag."""
    tags = (resource.get("meta") or {}).get("tag", ())
    return next((tag.get("version", "") for tag in tags if _is_ours(tag)), "")


def structure_definitions(found: Iterable[Provided]) -> dict[str, Json]:
    """The StructureDefinitions among them by canonical, with and without a version."""
    named: dict[str, Json] = {}
    for each in found:
        if each.resource["resourceType"] == "StructureDefinition":
            url = each.resource["url"]
            named |= dict.fromkeys((url, f"{url}|{each.resource.get('version')}"), each.resource)
    return named


def profiles_by_type(found: Iterable[Provided]) -> dict[str, tuple[str, ...]]:
    """The canonicals of the profiles on resources among them, by the type that they are on."""
    types: dict[str, tuple[str, ...]] = {}
    for each in found:
        type_ = each.resource.get("type", "")
        if each.resource.get("kind") == "resource":
            types[type_] = (*types.get(type_, ()), each.resource["url"])
    return types


def _is_ours(tag: Any) -> bool:
    return isinstance(tag, dict) and tag.get("system") == SYSTEM


def _resources(folders: Iterable[Path]) -> Iterator[tuple[Path, Json]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.json")):
            try:
                resource = decode(path.read_bytes())
            except Refusal as refusal:
                raise ValueError(f"{path}: {refusal}") from None
            if isinstance(resource, dict) and "resourceType" in resource:
                yield path, resource


def _check(path: Path, resource: Json, structure: StructureCheck) -> None:
    issues = structure.check(resource).issues
    if issues:
        problems = "; ".join(f"{each.expression}: {each.diagnostics}" for each in issues)
        raise ValueError(f"{path}: {problems}")
    type_, id_ = resource["resourceType"], resource.get("id", path.stem)
    elements = definitions().types[type_].elements
    if "url" not in elements or "status" not in elements:
        raise ValueError(f"{path}: a {type_} defines nothing that could come with the server")
    if not _ID.fullmatch(id_):
        raise ValueError(f"{path}: it has no id, and its name is none either")


def _provided(path: Path, resource: Json) -> Provided:
    resource = tagged({"id": path.stem} | resource)
    return Provided(path, resource, told_digest(resource))


def _check_apart(found: Iterable[Provided]) -> None:
    taken: dict[tuple[str, str], Path] = {}
    for each in found:
        type_, id_ = each.identity
        for name in {(type_, id_), (type_, each.resource.get("url", id_))}:
            if name in taken:
                raise ValueError(f"{each.path} and {taken[name]} both have {type_} {name[1]}")
            taken[name] = each.path
