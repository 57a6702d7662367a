"""Extensions: either a value or extensions (R4 extensibility.html#Extension, ext-1)."""

from typing import Any

from fhir_server.outcome import Issue
from fhir_server.spec import TypeDefinition
from fhir_server.validation.content import properties
from fhir_server.validation.found import Check, Found, Walk


def extension(content: Check, definition: TypeDefinition) -> Check:
    """The check of an Extension; `content` checks its elements."""
    names = [name for name, _ in properties(definition.elements["value"])]
    values = frozenset(names) | {f"_{name}" for name in names}

    def check(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        found = content(value, container, key, walk)
        if type(value) is not dict or ("extension" in value) == value.keys().isdisjoint(values):
            return found
        what = "An extension has either a value or extensions, not both and not neither."
        return [*(found or []), Issue("invariant", what)]

    return check
