"""What `Reference.reference` may say (R4 references.html#literal)."""

import re
from collections.abc import Collection

from fhir_server.outcome import Issue
from fhir_server.validation.found import Check, Found, Walk, located, quoted

_relative = re.compile(
    r"([A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
).fullmatch
_conditional = re.compile(r"([A-Za-z]+)\?\S+").fullmatch
_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+").fullmatch


def reference(content: Check, targets: Collection[str], resource_types: Collection[str]) -> Check:
    """The check of a Reference to one of `targets` (to anything when there are none).

    content: the check of the elements that every Reference has.
    """
    allowed = frozenset(targets or resource_types)

    def check(value: object, container: object, key: object, walk: Walk) -> Found:
        found = content(value, container, key, walk)
        if type(value) is not dict:
            return found
        literal = value.get("reference")
        if type(literal) is not str or not literal:
            return found
        walk.references.append(value)
        match = _relative(literal)
        if match is not None and match[1] in allowed:
            return found
        fault = _fault(literal, allowed, resource_types, walk.contained)
        if fault is None:
            return found
        return (found or []) + located("reference", [Issue("value", fault)])

    return check


def _fault(
    literal: str,
    allowed: frozenset[str],
    resource_types: Collection[str],
    contained: Collection[str],
) -> str | None:
    if literal.startswith("#"):
        if literal == "#" or literal[1:] in contained:
            return None
        return f"There is no contained resource with the id {quoted(literal[1:])}."
    if _absolute(literal):
        return None
    match = _relative(literal) or _conditional(literal)
    if match is None:
        return (
            "Expected Type/id, an absolute URL, urn:uuid:…, #id of a contained resource or"
            f" Type?query, found {quoted(literal)}."
        )
    if match[1] not in resource_types:
        return f"{quoted(match[1])} is no resource type, found {quoted(literal)}."
    if match[1] not in allowed:
        return f"Expected a reference to {' or '.join(sorted(allowed))}, found {quoted(literal)}."
    return None
