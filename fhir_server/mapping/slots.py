"""Where in an element of FHIR a rule puts what it gives."""

from dataclasses import dataclass

from fhir_server.mapping.rules import MappingError
from fhir_server.spec.model import ElementDefinition, TypeDefinition


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in an element a rule puts what it gives.

    parents: the names on the way there, each with whether it is a list. variants: the names of
    a choice, of which one at most may be there.
    """

    parents: tuple[tuple[str, bool], ...]
    name: str
    many: bool
    type: str
    variants: tuple[str, ...] = ()
    content: str | None = None
    required: str | None = None


def element_of(type_: TypeDefinition, name: str) -> tuple[ElementDefinition, str]:
    """An element and the type of its value, `valueQuantity` of a choice included."""
    element = type_.elements.get(name)
    if element is not None and not element.choice:
        return element, element.types[0].code if element.types else "BackboneElement"
    for each in type_.elements.values():
        if each.choice and name.startswith(each.name):
            for ref in each.types:
                if name == each.name + capital(ref.code):
                    return each, ref.code
    raise MappingError(f"{type_.name} has no element {name or '(none given)'}")


def capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def required_of(type_: TypeDefinition) -> list[tuple[str, ...]]:
    """The elements that a type has to have, each with its names if it is a choice.

    The URL of an extension is added to what rules make of its value.
    """
    return [
        tuple(each.name + capital(ref.code) for ref in each.types) if each.choice else (name,)
        for name, each in type_.elements.items()
        if each.min and not (type_.name == "Extension" and name == "url")
    ]
