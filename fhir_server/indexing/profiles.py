"""Whether SearchParameters that come with the server can be used."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fhir_server.indexing.changes import Change
from fhir_server.indexing.conflicts import conflicts, unresolved
from fhir_server.indexing.definition import TYPE, check_definition
from fhir_server.outcome import Issue, Refusal
from fhir_server.search.parameters import SearchParameters
from fhir_server.spec import SearchParameterDefinition, definitions


def check_parameters(files: Iterable[tuple[Path, dict[str, Any]]]) -> None:
    """Check that the SearchParameters among some resources can be used, also beside each other.

    Raises ValueError, naming the file, for one that could not be posted.
    """
    found: dict[str, Change] = {}
    places: dict[str, Path] = {}
    for path, resource in files:
        if resource["resourceType"] == TYPE:
            try:
                check_definition(resource, definitions())
            except Refusal as refusal:
                raise _wrong(path, refusal.issues) from None
            source = resource["url"]
            found[source], places[source] = Change(source, resource), path
    _check_together(found, places)


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
