"""The structure check: is a resource built as R4 defines its type (R4 json.html, datatypes.html).

Every type is compiled once into a closure over plain dictionaries. A closure returns None when
all is well and otherwise issues located relative to its own value; its parent adds where it put
the value. So a valid resource, the usual one, pays nothing for locations.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from threading import Lock
from typing import Any

from fhir_server.outcome import Issue
from fhir_server.spec import Binding, Definitions, ElementDefinition, TypeRef
from fhir_server.validation.bindings import bound_code, bound_concept
from fhir_server.validation.content import content, properties
from fhir_server.validation.elements import (
    repeated,
    repeated_primitive,
    repeated_sibling,
    single_sibling,
)
from fhir_server.validation.extensions import extension
from fhir_server.validation.found import (
    MOST_ISSUES,
    Check,
    Found,
    Walk,
    expected,
    located,
    quoted,
    shown,
)
from fhir_server.validation.primitives import CHECKS
from fhir_server.validation.references import reference


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found and gathered.

    issues: empty when the resource is fine; otherwise the other two may be incomplete.
    references: every Reference with a literal `reference`, wherever it stands.
    links: (object or array, key) of every other URI that starts with `urn:` and of every
        narrative that refers to something by `href` or `src`.
    """

    issues: tuple[Issue, ...]
    references: list[dict[str, Any]]
    links: list[tuple[dict[str, Any] | list[Any], str | int]]


class StructureCheck:
    """Checks resources against the types of `definitions`, compiling each when it is first met."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._types: dict[str, Check] = {}
        self._resources: dict[str, Check] = {}
        # A type is registered before it is complete, so only one thread may compile at a time.
        self._compiling = Lock()
        self._references: dict[tuple[str, ...], Check] = {}

    def check(self, resource: object) -> Checked:
        """Everything that is wrong with a decoded resource, up to 100 issues at once."""
        walk = Walk()
        try:
            found = self._resource(resource, None, None, walk)
        except RecursionError:
            found = [Issue("structure", "The resource is nested too deeply.")]
        if found is None:
            return Checked((), walk.references, walk.links)
        name = resource.get("resourceType") if isinstance(resource, dict) else None
        if isinstance(name, str) and name in self._definitions.resource_types:
            found = located(name, found)
        return Checked(tuple(found[:MOST_ISSUES]), walk.references, walk.links)

    def _resource(self, value: Any, container: Any, key: Any, walk: Walk) -> Found:
        """A resource with its own contained ones, which `#id` may refer to."""
        if type(value) is not dict:
            return expected("a resource (a JSON object)", value)
        outer = walk.contained
        walk.contained, repeated_ids = _contained_ids(value.get("contained"))
        found = self._any_resource(value, container, key, walk)
        walk.contained = outer
        for id_ in sorted(repeated_ids)[:MOST_ISSUES]:
            what = f"Several contained resources have the id {quoted(id_)}."
            found = [*(found or []), Issue("structure", what, "contained")]
        return found

    def _contained(self, value: Any, container: Any, key: Any, walk: Walk) -> Found:
        """A contained resource (R4 references.html#contained)."""
        found = self._any_resource(value, container, key, walk)
        if type(value) is dict and "contained" in value:
            what = "A contained resource must not contain resources itself."
            return [*(found or []), Issue("structure", what, "contained")]
        return found

    def _any_resource(self, value: Any, container: Any, key: Any, walk: Walk) -> Found:
        if type(value) is not dict:
            return expected("a resource (a JSON object)", value)
        name = value.get("resourceType")
        check = self._resources.get(name) if type(name) is str else None
        if check is None:
            if type(name) is not str or name not in self._definitions.resource_types:
                return [self._no_resource_type(value)]
            with self._compiling:
                check = self._resources[name] = self._type(name)
        return check(value, container, key, walk)

    def _no_resource_type(self, value: dict[str, Any]) -> Issue:
        name = value.get("resourceType")
        if "resourceType" not in value:
            return Issue("required", "Expected a resourceType such as Patient, found none.")
        near = get_close_matches(str(name)[:64], self._definitions.resource_types, n=1)
        hint = f" Did you mean {quoted(near[0])}?" if near else ""
        what = f"Expected a resource type of R4 such as Patient, found {shown(name)}.{hint}"
        return Issue("structure", what)

    def _type(self, name: str) -> Check:
        if name in self._types:
            return self._types[name]
        definition = self._definitions.types[name]
        handlers: dict[str, Check] = {}
        check = content(definition, handlers)
        if name == "Extension":
            check = extension(check, definition)
        # Registered before its elements are compiled, because types recurse.
        self._types[name] = check
        if definition.kind == "resource":
            handlers["resourceType"] = _fine
        for element in definition.elements.values():
            self._compile(element, handlers)
        return check

    def _compile(self, element: ElementDefinition, handlers: dict[str, Check]) -> None:
        repeats = element.max is None
        for index, (name, type_) in enumerate(properties(element)):
            if type_ not in CHECKS:
                check = self._complex(element, index)
                handlers[name] = repeated(check) if repeats else check
                continue
            check = self._primitive(type_, element.binding)
            handlers[name] = repeated_primitive(check, name) if repeats else check
            if _has_sibling(element):
                sibling = repeated_sibling if repeats else single_sibling
                handlers[f"_{name}"] = sibling(self._type("Element"), name)

    def _primitive(self, type_: str, binding: Binding | None) -> Check:
        if type_ == "code" and binding is not None and binding.strength == "required":
            codes = self._definitions.codes(binding.value_set)
            if codes is not None:
                return bound_code(codes)
        return CHECKS[type_]

    def _complex(self, element: ElementDefinition, index: int) -> Check:
        if element.content is not None:
            return self._type(element.content)
        type_ = element.types[index]
        if type_.code == "Resource":
            return self._contained if element.name == "contained" else self._resource
        if type_.code == "Reference":
            return self._reference(type_)
        check = self._type(type_.code)
        binding = element.binding
        if type_.code == "CodeableConcept" and binding is not None:
            systems = self._definitions.codes_by_system(binding.value_set)
            if binding.strength == "required" and systems is not None:
                return bound_concept(check, systems)
        return check

    def _reference(self, type_: TypeRef) -> Check:
        if type_.targets not in self._references:
            self._references[type_.targets] = reference(
                self._type("Reference"), type_.targets, self._definitions.resource_types
            )
        return self._references[type_.targets]


def _fine(_value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
    return None


def _has_sibling(element: ElementDefinition) -> bool:
    """Ids, Extension.url and xhtml cannot have extensions (R4 json.html#primitive)."""
    is_id = element.name == "id" and element.types[0].code in ("id", "string")
    return not (is_id or element.path == "Extension.url" or element.types[0].code == "xhtml")


def _contained_ids(contained: Any) -> tuple[set[str], set[str]]:
    """The ids of the contained resources, and those that several have."""
    ids: set[str] = set()
    repeated_ids: set[str] = set()
    if type(contained) is list:
        for resource in contained:
            id_ = resource.get("id") if type(resource) is dict else None
            if type(id_) is str:
                (repeated_ids if id_ in ids else ids).add(id_)
    return ids, repeated_ids
