"""StructureDefinitions of R4's own types, made from the facts the server ships."""

from collections.abc import Iterator
from typing import Any

from fhir_server.spec import Constraint, Definitions, ElementDefinition, TypeDefinition

Json = dict[str, Any]

CORE = "http://hl7.org/fhir/StructureDefinition/"


def base_definition(definitions: Definitions, url: str) -> Json | None:
    """The StructureDefinition of a type of R4 by its URL, with what validation needs of it."""
    name = type_of(definitions, url)
    if name is None:
        return None
    type_ = definitions.types[name]
    definition = {
        "resourceType": "StructureDefinition",
        "url": CORE + name,
        "version": "4.0.1",
        "name": name,
        "type": name,
        "kind": type_.kind,
        "abstract": type_.abstract,
        "derivation": "specialization",
        "snapshot": {"element": list(_elements(definitions, type_))},
    }
    return definition | ({"baseDefinition": CORE + type_.base} if type_.base else {})


def type_of(definitions: Definitions, url: str) -> str | None:
    """The type of R4 that a canonical names, None if it names something else."""
    name = url.removeprefix(CORE).partition("|")[0]
    type_ = definitions.types.get(name) if url.startswith(CORE) else None
    return None if type_ is None or type_.kind == "backbone" else name


def _elements(definitions: Definitions, type_: TypeDefinition) -> Iterator[Json]:
    root: Json = {"id": type_.name, "path": type_.name, "min": 0, "max": "*"}
    yield root | _constraints(type_.constraints, CORE + type_.name)
    yield from _children(definitions, type_, type_.name)


def _children(definitions: Definitions, type_: TypeDefinition, path: str) -> Iterator[Json]:
    for element in type_.elements.values():
        own = f"{path}.{element.name}"
        yield _element(definitions, element, own + ("[x]" if element.choice else ""), type_)
        if element.content == own:
            yield from _children(definitions, definitions.types[own], own)


def _element(
    definitions: Definitions, element: ElementDefinition, path: str, owner: TypeDefinition
) -> Json:
    made: Json = {
        "id": path,
        "path": path,
        "min": element.min,
        "max": "*" if element.max is None else str(element.max),
    }
    constraints = element.constraints
    if element.content is not None and element.content != path:
        made["contentReference"] = f"#{element.content}"
    elif element.content is not None:
        made["type"] = [{"code": definitions.types[element.content].base}]
    else:
        made["type"] = [
            {"code": type_.code}
            | ({"targetProfile": [CORE + name for name in type_.targets]} if type_.targets else {})
            for type_ in element.types
        ]
        if len(element.types) == 1:
            constraints = definitions.types[element.types[0].code].constraints + constraints
    if element.binding is not None:
        binding = element.binding
        made["binding"] = {"strength": binding.strength, "valueSet": binding.value_set}
    if element.modifier:
        made["isModifier"] = True
    return made | _constraints(constraints, CORE + owner.name.partition(".")[0])


def _constraints(constraints: tuple[Constraint, ...], source: str) -> Json:
    made = [
        {
            "key": each.key,
            "severity": each.severity,
            "expression": each.expression,
            "source": source,
        }
        for each in constraints
    ]
    return {"constraint": made} if made else {}
