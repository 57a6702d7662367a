"""What each type looks like in XML, compiled from the definitions for the reader."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import Any

from fhir_server.spec import Definitions, ElementDefinition
from fhir_server.validation.content import properties
from fhir_server.xml.narrative import XHTML
from fhir_server.xml.values import reader

FHIR = "http://hl7.org/fhir"
# How the parser writes the name of a FHIR element.
PREFIX = f"{FHIR} "


class Kind(IntEnum):
    """How an element becomes a property."""

    PRIMITIVE = 0
    COMPLEX = 1
    # The extension of a primitive, which JSON keeps beside its value.
    BESIDE = 2
    # An element such as `contained` that holds one whole resource.
    HOLDER = 3
    RESOURCE = 4
    NARRATIVE = 5


Children = dict[str, "Child"]


@dataclass(slots=True, eq=False)
class Child:
    """One element that may stand in another.

    name, sibling: its JSON properties. label: its name in FHIRPath. rank: its place in the order.
    children: by the parser's name; shared by all elements of a type, and complete only when the
        whole plan is. url: whether it has the attribute `url` (R4 extensibility.html).
    plain: a primitive that stands once.
    """

    kind: Kind
    name: str
    label: str
    rank: int
    repeats: bool
    children: Children
    sibling: str = ""
    convert: Callable[[str], Any] = str
    url: bool = False
    plain: bool = False

    def __post_init__(self) -> None:
        self.plain = self.kind is Kind.PRIMITIVE and not self.repeats


class Plans:
    """The plans of all resource types, each compiled when it is first met."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._types: dict[str, Children] = {}
        self._compiling = Lock()
        self.resources: Children = {}
        self.root = Child(Kind.HOLDER, "resource", "", 0, False, self.resources)
        self._beside: Children = {}

    def compile(self, name: str) -> bool:
        """Make a type known to `resources`; False when it is no resource type."""
        if name not in self._definitions.resource_types:
            return False
        with self._compiling:
            if PREFIX + name not in self.resources:
                if not self._beside:
                    self._beside[PREFIX + "extension"] = Child(
                        Kind.BESIDE, "extension", "extension", 0, True, self._type("Extension"),
                        url=True,
                    )  # fmt: skip
                children = self._type(name)
                child = Child(Kind.RESOURCE, name, name, 0, False, children)
                self.resources[PREFIX + name] = child
        return True

    def _type(self, name: str) -> Children:
        if name in self._types:
            return self._types[name]
        # Registered before it is filled, because types recurse.
        children = self._types[name] = {}
        definition = self._definitions.types[name]
        for rank, element in enumerate(definition.elements.values()):
            is_attribute = element.name == "id" and definition.kind != "resource"
            if is_attribute or element.path == "Extension.url":
                continue
            for property_, type_ in properties(element):
                child = self._child(element, property_, type_, rank)
                namespace = XHTML if child.kind is Kind.NARRATIVE else FHIR
                children[f"{namespace} {property_}"] = child
        return children

    def _child(self, element: ElementDefinition, name: str, type_: str, rank: int) -> Child:
        repeats = element.max is None
        if element.content is not None:
            children = self._type(element.content)
            return Child(Kind.COMPLEX, name, element.name, rank, repeats, children)
        if type_ == "Resource":
            return Child(Kind.HOLDER, name, element.name, rank, repeats, self.resources)
        if type_ == "xhtml":
            return Child(Kind.NARRATIVE, name, element.name, rank, repeats, {})
        if self._definitions.types[type_].kind != "primitive-type":
            url = type_ == "Extension"
            children = self._type(type_)
            return Child(Kind.COMPLEX, name, element.name, rank, repeats, children, url=url)
        return Child(
            Kind.PRIMITIVE, name, element.name, rank, repeats, self._beside,
            sibling=f"_{name}", convert=reader(self._definitions, type_),
        )  # fmt: skip
