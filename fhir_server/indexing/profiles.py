"""The SearchParameters that come with the server, as files."""

from pathlib import Path
from typing import Any

from fhir_server.fhir_json import decode
from fhir_server.indexing.changes import Change
from fhir_server.indexing.conflicts import conflicts, unresolved
from fhir_server.indexing.definition import TYPE, check_definition
from fhir_server.outcome import Issue, Refusal
from fhir_server.search.parameters import SearchParameters
from fhir_server.spec import SearchParameterDefinition, definitions
from fhir_server.validation.structure import StructureCheck


def load_parameters(folder: Path) -> tuple[Change, ...]:
    """Every SearchParameter in the JSON files of a folder and below, by its url.

    Raises ValueError, naming the file, for one that could not be posted either.
    """
    found: dict[str, Change] = {}
    places: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        resource = _read(path)
        if resource.get("resourceType") != TYPE:
            continue
        change = _checked(path, resource)
        if change.source in found:
            raise ValueError(f"{path} and {places[change.source]} have the url {change.source}")
        found[change.source], places[change.source] = change, path
    _check_together(found, places)
    return tuple(found.values())


def _read(path: Path) -> dict[str, Any]:
    try:
        resource = decode(path.read_bytes())
    except Refusal as refusal:
        raise _wrong(path, refusal.issues) from None
    return resource if isinstance(resource, dict) else {}


def _checked(path: Path, resource: dict[str, Any]) -> Change:
    issues = StructureCheck(definitions()).check(resource).issues
    if issues:
        raise _wrong(path, issues)
    try:
        check_definition(resource, definitions())
    except Refusal as refusal:
        raise _wrong(path, refusal.issues) from None
    return Change(resource["url"], resource)


def _check_together(found: dict[str, Change], places: dict[str, Path]) -> None:
    known = definitions()
    kept: dict[str, SearchParameterDefinition] = {}
    for source, change in found.items():
        definition = change.definition(known)
        if definition is not None:
            if issues := conflicts(definition, kept, known):
                raise _wrong(places[source], issues)
            kept[source] = definition
    parameters = SearchParameters(extra=kept.values())
    for source, definition in kept.items():
        if issues := unresolved(definition, parameters, known):
            raise _wrong(places[source], issues)


def _wrong(path: Path, issues: "tuple[Issue, ...] | list[Issue]") -> ValueError:
    problems = "; ".join(f"{issue.expression}: {issue.diagnostics}" for issue in issues)
    return ValueError(f"{path}: {problems}")
