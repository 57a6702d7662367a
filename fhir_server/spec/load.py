"""Loads the definitions from the package's own data, without network."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from fhir_server.packaged import folder
from fhir_server.spec.model import (
    CompartmentDefinition,
    Constraint,
    Definitions,
    ElementDefinition,
    OperationDefinitionFacts,
    SearchParameterDefinition,
    TypeDefinition,
)
from fhir_server.spec.operations import own_operations

_Stored = TypeVar("_Stored")

DATA = Path(__file__).parent / "data"


class _StoredType(msgspec.Struct):
    """A type as it is written: only what its base does not say already."""

    name: str
    kind: str
    base: str | None = None
    abstract: bool = False
    regex: str | None = None
    elements: list[ElementDefinition] = []
    constraints: tuple[Constraint, ...] = ()


class _StoredValueSet(msgspec.Struct):
    url: str
    systems: dict[str, frozenset[str]]


@functools.cache
def definitions() -> Definitions:
    """The definitions of R4 (4.0.1) and the server's own operations, loaded once a process."""
    compartments = _read("compartments", list[CompartmentDefinition])
    value_sets = _read("value_sets", list[_StoredValueSet])
    return Definitions(
        types=_complete(_read("types", list[_StoredType])),
        search_parameters=tuple(_read("search_parameters", list[SearchParameterDefinition])),
        compartments={compartment.code: compartment for compartment in compartments},
        operations=(*_read("operations", list[OperationDefinitionFacts]), *_own_operations()),
        value_sets={value_set.url: value_set.systems for value_set in value_sets},
    )


def _own_operations() -> Iterator[OperationDefinitionFacts]:
    return own_operations(folder("profiles") / "operations")


def _read(name: str, type_: type[list[_Stored]]) -> list[_Stored]:
    return msgspec.json.decode((DATA / f"{name}.json").read_bytes(), type=type_)


def _complete(stored_types: list[_StoredType]) -> dict[str, TypeDefinition]:
    """Give each type what it inherits."""
    stored = {type_.name: type_ for type_ in stored_types}
    complete: dict[str, TypeDefinition] = {}

    def resolve(name: str) -> TypeDefinition:
        if name in complete:
            return complete[name]
        own = stored[name]
        elements: dict[str, ElementDefinition] = {}
        constraints: tuple[Constraint, ...] = ()
        if own.base is not None:
            base = resolve(own.base)
            constraints = base.constraints
            elements = {
                element.name: replace(element, path=f"{name}.{element.name}")
                for element in base.elements.values()
            }
        elements.update((element.name, element) for element in own.elements)
        complete[name] = TypeDefinition(
            name=name,
            kind=own.kind,
            base=own.base,
            abstract=own.abstract,
            elements=elements,
            constraints=constraints + own.constraints,
            regex=own.regex,
        )
        return complete[name]

    return {name: resolve(name) for name in stored}
