"""The facts of R4 that the server works from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Binding:
    """Where an element's codes come from (R4 terminologies.html#strength).

    value_set: canonical URL without a version.
    """

    strength: str
    value_set: str


@dataclass(frozen=True, slots=True)
class TypeRef:
    """One type an element may have.

    targets: the type names a `Reference` or `canonical` may point to; empty is any.
    """

    code: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant: `expression` is FHIRPath (R4 conformance-rules.html#constraints)."""

    key: str
    severity: str
    expression: str


@dataclass(frozen=True, slots=True)
class ElementDefinition:
    """One element of a type (R4 elementdefinition.html).

    path: `Patient.contact`; a choice has no `[x]`: `Observation.value`.
    max: None is `*`.
    content: the TypeDefinition that holds the children of a backbone element.
    constraints: those of this element, not those of its type, which hold everywhere.
    """

    path: str
    name: str
    min: int = 0
    max: int | None = 1
    types: tuple[TypeRef, ...] = ()
    choice: bool = False
    binding: Binding | None = None
    content: str | None = None
    constraints: tuple[Constraint, ...] = ()
    summary: bool = False
    modifier: bool = False


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A resource, data type, primitive or backbone element with everything it inherits.

    kind: `resource`, `complex-type`, `primitive-type` or `backbone`.
    elements: by name, inherited ones first, in official order.
    constraints: inherited ones first.
    regex: what the text of a primitive must match, as published.
    """

    name: str
    kind: str
    base: str | None
    abstract: bool
    elements: dict[str, ElementDefinition]
    constraints: tuple[Constraint, ...]
    regex: str | None


@dataclass(frozen=True, slots=True)
class SearchParameterDefinition:
    """A SearchParameter (R4 searchparameter.html).

    components: of a composite, each the URL of its definition and an expression.
    """

    url: str
    name: str
    code: str
    type: str
    base: tuple[str, ...] = ()
    expression: str | None = None
    targets: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()
    modifiers: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    multiple_or: bool = True
    multiple_and: bool = True
    components: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CompartmentDefinition:
    """A compartment (R4 compartmentdefinition.html).

    code: the type that owns it, such as `Patient`.
    parameters: per resource type the search parameters that put a resource into it; `{def}` is
        the owner itself. A type that never belongs to it is absent.
    """

    url: str
    code: str
    parameters: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """A parameter of an operation; `max` None is `*`; `type` None means it has parts."""

    name: str
    use: str
    min: int
    max: int | None
    type: str | None = None
    search_type: str | None = None
    targets: tuple[str, ...] = ()
    parts: tuple["OperationParameter", ...] = ()


@dataclass(frozen=True, slots=True)
class OperationDefinitionFacts:
    """An operation and where it may be called (R4 operationdefinition.html)."""

    url: str
    name: str
    code: str
    system: bool
    type: bool
    instance: bool
    affects_state: bool
    resources: tuple[str, ...]
    parameters: tuple[OperationParameter, ...]


class Definitions:
    """All of R4: types, search parameters, compartments, operations and required codes."""

    def __init__(
        self,
        types: dict[str, TypeDefinition],
        search_parameters: tuple[SearchParameterDefinition, ...],
        compartments: dict[str, CompartmentDefinition],
        operations: tuple[OperationDefinitionFacts, ...],
        value_sets: Mapping[str, Mapping[str, frozenset[str]]],
    ) -> None:
        self.types = types
        self.search_parameters = search_parameters
        self.compartments = compartments
        self.operations = operations
        self.resource_types = frozenset(
            name for name, type_ in types.items() if type_.kind == "resource" and not type_.abstract
        )
        self._value_sets = value_sets
        self._codes = {
            url: frozenset().union(*systems.values()) for url, systems in value_sets.items()
        }

    def codes(self, value_set_url: str) -> frozenset[str] | None:
        """The codes of a value set with a required binding; None when they are not enumerable."""
        return self._codes.get(value_set_url.partition("|")[0])

    def codes_by_system(self, value_set_url: str) -> Mapping[str, frozenset[str]] | None:
        """The same codes grouped by their code system."""
        return self._value_sets.get(value_set_url.partition("|")[0])

    def code_system_of(self, value_set_url: str) -> str | None:
        """The code system of a value set's codes, if there is exactly one."""
        systems = self.codes_by_system(value_set_url)
        return next(iter(systems)) if systems and len(systems) == 1 else None

    def is_a(self, type_name: str, ancestor: str) -> bool:
        """Whether a type is `ancestor` or derives from it."""
        name: str | None = type_name
        while name is not None and name != ancestor:
            definition = self.types.get(name)
            name = definition.base if definition else None
        return name is not None
