"""What stands inside one object: known elements, required ones, and one of each choice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from fhir_server.outcome import Issue
from fhir_server.spec import ElementDefinition, TypeDefinition
from fhir_server.validation.found import (
    MOST_ISSUES,
    Check,
    Found,
    Walk,
    expected,
    located,
    quoted,
)

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """An element that may have one of several types (R4 formats.html#choice).

    siblings: the properties that carry it, also with the underscore of primitive extensions.
    """

    name: str
    properties: tuple[str, ...]
    siblings: frozenset[str]
    required: bool

    def fault(self, value: Mapping[str, Any]) -> list[Issue]:
        """What is wrong with the number of properties given."""
        given = [name for name in self.properties if name in value or f"_{name}" in value]
        if len(given) > 1:
            what = f"Expected only one of {', '.join(given)}: they are one element."
            return [Issue("structure", what, self.name)]
        if not given and self.required:
            what = f"One of {', '.join(self.properties)} is required."
            return [Issue("required", what, self.name)]
        return []


def properties(element: ElementDefinition) -> list[tuple[str, str]]:
    """The JSON properties of an element, each with its type (R4 json.html#choice)."""
    if not element.choice:
        return [(element.name, element.types[0].code if element.types else "")]
    return [
        (element.name + type_.code[0].upper() + type_.code[1:], type_.code)
        for type_ in element.types
    ]


def content(definition: TypeDefinition, handlers: Mapping[str, Check]) -> Check:
    """The check of an object of a type.

    handlers: per property its check; may be filled after this call, so that types can recurse.
    """
    get = handlers.get
    choices = _choices(definition)
    required = frozenset(
        element.name
        for element in definition.elements.values()
        if element.min and not element.choice
    )
    is_element = definition.kind != "resource"
    # Only the sibling of a primitive is a bare Element, and its value stands beside it.
    id_is_too_little = definition.name != "Element"
    what = f"an object ({definition.name})"

    def check(value: Any, _container: Any, _key: Any, walk: Walk) -> Found:
        if type(value) is not dict:
            return expected(what, value)
        found: Found = None
        for name, child in value.items():
            handler = get(name)
            if handler is None:
                found = [*(found or []), _unknown(name, definition, handlers)]
            else:
                issues = handler(child, value, name, walk)
                if issues is None:
                    continue
                found = (found or []) + _placed(name, definition, issues)
            if len(found) >= MOST_ISSUES:
                return found
        if required and not value.keys() >= required:
            found = (found or []) + _missing(required, value)
        for choice in choices:
            given = len(value.keys() & choice.siblings)
            if given > 1 or (not given and choice.required):
                found = (found or []) + choice.fault(value)
        if is_element and len(value) < 2 and (not value or (id_is_too_little and "id" in value)):
            found = [*(found or []), Issue("structure", _EMPTY)]
        return found or None

    return check


_EMPTY = "An object must have a value or elements beside its id: leave it out."


def _choices(definition: TypeDefinition) -> tuple[Choice, ...]:
    choices = []
    for element in definition.elements.values():
        if element.choice:
            names = tuple(name for name, _ in properties(element))
            siblings = frozenset(names) | {f"_{name}" for name in names}
            choices.append(Choice(element.name, names, siblings, bool(element.min)))
    return tuple(choices)


def _missing(required: Iterable[str], value: Mapping[str, Any]) -> list[Issue]:
    return [
        Issue("required", f"The element {quoted(name)} is required.", name)
        for name in sorted(required)
        if name not in value and f"_{name}" not in value
    ]


def _placed(name: str, definition: TypeDefinition, issues: list[Issue]) -> list[Issue]:
    """Issues under a property; FHIRPath knows `value`, so the text tells `valueQuantity`."""
    plain = name.removeprefix("_")
    if plain not in definition.elements:
        plain = next(
            (choice.name for choice in _choices(definition) if name in choice.siblings), plain
        )
    if plain == name:
        return located(name, issues)
    told = [
        issue if issue.expression else replace(issue, diagnostics=f"{name}: {issue.diagnostics}")
        for issue in issues
    ]
    return located(plain, told)


def _unknown(name: str, definition: TypeDefinition, known: Iterable[str]) -> Issue:
    element = definition.elements.get(name.removesuffix("[x]"))
    if element is not None and element.choice:
        names = ", ".join(each for each, _ in properties(element))
        hint = f" Its type is part of the name: one of {names}."
    else:
        near = get_close_matches(name[:_LONGEST_NAME], list(known), n=1)
        hint = f" Did you mean {quoted(near[0])}?" if near else ""
    where = name if name.isidentifier() and len(name) <= _LONGEST_NAME else ""
    return Issue("structure", f"Unknown element {quoted(name)} in {definition.name}.{hint}", where)
