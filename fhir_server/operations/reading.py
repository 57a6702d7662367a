"""From a request to the parameters of an operation (R4 operations.html#request).

They come in the URL, in a Parameters resource, or as the one resource that an operation takes.
Everything that the definition does not have is refused by name.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.request import Request
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.spec import Definitions
from fhir_server.spec.model import OperationParameter
from fhir_server.validation.found import MOST_ISSUES, Walk, located, quoted
from fhir_server.validation.primitives import CHECKS
from fhir_server.validation.structure import StructureCheck

# What belongs to the door and not to the operation.
_CONTROLS = frozenset({"_format", "_pretty"})
_PAGING = frozenset({"_cursor", "_elements", "_summary"})
_RESOURCE = "Resource"

# A value may come as another type of its family; it must be valid as the type that is meant.
_FAMILIES = (
    frozenset({"uri", "url", "canonical"}),
    frozenset({"string", "code", "id", "markdown"}),
    frozenset({"integer", "positiveInt", "unsignedInt"}),
)


def read_parameters(
    structure: StructureCheck,
    definitions: Definitions,
    code: str,
    taken: Sequence[OperationParameter],
    request: Request,
    *,
    searches: bool = False,
    paged: bool = False,
    unchecked: bool = False,
) -> Parameters:
    """What an operation was called with.

    code: of the operation. taken: its input parameters.
    searches: the search parameters of the type are taken as well.
    unchecked: resources may break the rules of R4.
    Raises `Invalid` with everything that is wrong.
    """
    found = Parameters(request)
    reading = _Reading(structure, definitions, code, taken, found, searches, unchecked)
    controls = _CONTROLS | _PAGING if paged else _CONTROLS
    for name, text in request.query:
        if name not in controls:
            reading.from_url(name, text)
    if request.resource is not None:
        reading.body(request.resource)
    reading.issues += _counted(found.values, taken, "")
    if reading.issues:
        raise Invalid(reading.issues[:MOST_ISSUES])
    return found


class _Reading:
    def __init__(
        self,
        structure: StructureCheck,
        definitions: Definitions,
        code: str,
        taken: Sequence[OperationParameter],
        found: Parameters,
        searches: bool,
        unchecked: bool,
    ) -> None:
        self.issues: list[Issue] = []
        self._structure = structure
        self._definitions = definitions
        self._code = code
        self._taken = taken
        self._found = found
        self._searches = searches
        self._unchecked = unchecked

    # in the URL

    def from_url(self, name: str, text: str) -> None:
        """Add a parameter of the URL."""
        definition = _named(self._taken, name)
        if definition is None:
            if self._searches:
                self._found.search.append((name, text))
            else:
                self.issues.append(self._unknown(name, self._taken, ""))
            return
        if definition.type not in CHECKS:
            kind = definition.type or "group of parts"
            what = f"{name} is a {kind}, which no URL can hold; send it by POST in Parameters"
            self.issues.append(Issue("not-supported", what))
            return
        try:
            self._add(definition, parsed(definition.type, text), f"the parameter {name}")
        except ValueError as error:
            self.issues.append(Issue("value", f"{name}={text}: {error}"))

    def _add(self, definition: OperationParameter, value: Any, place: str) -> None:
        assert definition.type is not None
        wrong = CHECKS[definition.type](value, {}, "", Walk())
        if wrong:
            told = [Issue(issue.code, f"In {place}: {issue.diagnostics}") for issue in wrong]
            self.issues += told
        else:
            self._found.values.setdefault(definition.name, []).append(value)

    # in the body

    def body(self, resource: Any) -> None:
        """Add what the body holds: Parameters, or the one resource that the operation takes."""
        if isinstance(resource, dict) and resource.get("resourceType") == "Parameters":
            self._parameters(resource)
            return
        takes = [item for item in self._taken if self._is_resource(item.type)]
        if len(takes) != 1:
            what = f"${self._code} takes its parameters in the URL or in a Parameters resource"
            self.issues.append(Issue("invalid", what))
            return
        (definition,) = takes
        if not self._unchecked:
            self.issues += self._structure.check(resource).issues
        if isinstance(resource, dict) and self._is_a(resource, definition):
            self._found.values.setdefault(definition.name, []).append(resource)
        else:
            self.issues.append(self._wrong_type(resource, definition, ""))

    def _parameters(self, resource: dict[str, Any]) -> None:
        issues = self._structure.check(self._envelope(resource)).issues
        if issues:
            self.issues += issues
            return
        items = resource.get("parameter", [])
        self._items(items, self._taken, self._found.values, "Parameters.parameter", top=True)

    def _envelope(self, resource: dict[str, Any]) -> dict[str, Any]:
        """What of a Parameters resource is to be checked."""
        items = resource.get("parameter")
        if not self._unchecked or not isinstance(items, list):
            return resource
        bare = [
            {key: value for key, value in item.items() if key != "resource"}
            if isinstance(item, dict)
            else item
            for item in items
        ]
        return resource | {"parameter": bare}

    def _items(
        self,
        items: Sequence[dict[str, Any]],
        taken: Sequence[OperationParameter],
        values: dict[str, list[Any]],
        path: str,
        *,
        top: bool = False,
    ) -> None:
        for index, item in enumerate(items):
            place = f"{path}[{index}]"
            definition = _named(taken, item["name"])
            if definition is not None:
                found = self._value(item, definition, place)
                if found is not None:
                    values.setdefault(definition.name, []).append(found.value)
            elif top and self._searches and isinstance(item.get("valueString"), str):
                self._found.search.append((item["name"], item["valueString"]))
            else:
                self.issues.append(self._unknown(item["name"], taken, place))

    def _value(
        self, item: dict[str, Any], definition: OperationParameter, place: str
    ) -> "_Found | None":
        if definition.type is None:
            parts: dict[str, list[Any]] = {}
            before = len(self.issues)
            self._items(item.get("part", []), definition.parts, parts, f"{place}.part")
            self.issues += _counted(parts, definition.parts, f"{place}.part")
            return _Found(parts) if len(self.issues) == before else None
        if self._is_resource(definition.type):
            resource = item.get("resource")
            if isinstance(resource, dict) and self._is_a(resource, definition):
                return _Found(resource)
            self.issues.append(self._wrong_type(resource, definition, place))
            return None
        return self._plain(item, definition, place)

    def _plain(
        self, item: dict[str, Any], definition: OperationParameter, place: str
    ) -> "_Found | None":
        assert definition.type is not None
        key = next((key for key in item if key.startswith("value")), "")
        expected = _key(definition.type)
        if key not in {expected, *map(_key, _family(definition.type))}:
            given = key or next((name for name in ("resource", "part") if name in item), "nothing")
            what = f"{definition.name} is a {definition.type}: expected {expected}, found {given}"
            self.issues.append(Issue("structure", what, place))
            return None
        check = CHECKS.get(definition.type)
        wrong = check(item[key], item, key, Walk()) if check else None
        if wrong:
            self.issues += located(f"{place}.{key}", wrong)
            return None
        return _Found(item[key])

    # what is wrong

    def _is_resource(self, type_: str | None) -> bool:
        return type_ == _RESOURCE or type_ in self._definitions.resource_types

    def _is_a(self, resource: dict[str, Any], definition: OperationParameter) -> bool:
        if self._unchecked and definition.type == _RESOURCE:
            return True
        return definition.type in (_RESOURCE, resource.get("resourceType"))

    def _wrong_type(self, resource: Any, definition: OperationParameter, place: str) -> Issue:
        found = resource.get("resourceType") if isinstance(resource, dict) else None
        what = f"{definition.name} takes a {definition.type} resource, found {found or 'none'}"
        return Issue("invalid", what, place)

    def _unknown(self, name: str, taken: Sequence[OperationParameter], place: str) -> Issue:
        names = [item.name for item in taken]
        near = difflib.get_close_matches(name, names, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        known = ", ".join(names) or "none"
        what = f"${self._code} has no parameter {quoted(name)}; {hint}known: {known}"
        return Issue("not-supported", what, place)


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any


def parsed(type_: str, text: str) -> Any:
    """A primitive from its text in a URL. Raises ValueError for what is none."""
    if type_ == "boolean":
        if text not in ("true", "false"):
            raise ValueError("expected true or false")
        return text == "true"
    if type_ in ("integer", "positiveInt", "unsignedInt"):
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
            raise ValueError("expected a whole number")
        return int(text)
    return text


def _counted(
    values: dict[str, list[Any]], taken: Sequence[OperationParameter], place: str
) -> Iterator[Issue]:
    """What is missing, and what is given too often."""
    for item in taken:
        count = len(values.get(item.name, ()))
        if count < item.min:
            yield Issue("required", f"The parameter {item.name} is required", place)
        elif item.max is not None and count > item.max:
            what = f"The parameter {item.name} may be given {_times(item.max)}, not {count} times"
            yield Issue("invalid", what, place)


def _times(most: int) -> str:
    return "once" if most == 1 else f"{most} times"


def _named(taken: Sequence[OperationParameter], name: str) -> OperationParameter | None:
    return next((item for item in taken if item.name == name), None)


def _key(type_: str) -> str:
    return f"value{type_[0].upper()}{type_[1:]}"


def _family(type_: str) -> frozenset[str]:
    return next((family for family in _FAMILIES if type_ in family), frozenset())
