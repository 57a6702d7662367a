"""The search parameters of every resource type (R4 searchparameter-registry.html)."""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from fhir_server.fhirpath.compiler import Expression, compile_expression
from fhir_server.search.keys import Keyed, hash64, key, parameter_name
from fhir_server.spec import Definitions, SearchParameterDefinition, definitions

# The type every resource shares: its parameters can be asked of all types at once.
ANY_TYPE = "Resource"

# Parameters whose values are columns of the resource's own row.
COLUMNS = frozenset({"_id", "_lastUpdated"})

# Parameters that are answered by something other than values found by an expression.
SPECIAL = frozenset({"_content", "_filter", "_has", "_list", "_query", "_text", "_type"})


@dataclass(frozen=True)
class SearchParameter:
    """A search parameter as it applies to one resource type.

    type: the kind of search, such as `token`; `special` for what needs a rule of its own.
    targets: the types a reference parameter may point to.
    keyed: makes the keys of its values, where those are in elements that are sealed.
    """

    resource_type: str
    code: str
    type: str
    targets: tuple[str, ...]
    definition: SearchParameterDefinition
    keyed: Keyed | None = None

    @cached_property
    def name(self) -> str:
        """`Patient|identifier`: what its keys are made with."""
        return parameter_name(self.resource_type, self.code)

    @cached_property
    def hash(self) -> int:
        """The hash of `name`, by which its ordered values are stored."""
        return hash64(self.name)

    def key(self, text: str, modifier: str = "") -> int:
        """The key of a value text, under its form with a modifier if there is one."""
        name = parameter_name(self.resource_type, self.code, modifier)
        return key(name, text) if self.keyed is None else self.keyed.key(name, text)

    def expression(self, resource_type: str | None = None) -> Expression | None:
        """Where its values are, compiled for a type; None if no expression finds them.

        resource_type: by default its own; one that derives from it if that is `Resource`.
        """
        if self.definition.expression is None:
            return None
        return compile_expression(self.definition.expression, resource_type or self.resource_type)


def link_key(parameter: SearchParameter, text: str) -> int:
    """The key of a reference: what is here tells nothing by its type and id, whatever is sealed."""
    return parameter.key(text) if ":" in text else parameter.hash ^ hash64(text)


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a composite parameter (R4 search.html#composite).

    definition: the parameter that says how its values are compared.
    expression: where its values are, seen from a value of the composite parameter.
    """

    definition: SearchParameterDefinition
    expression: str

    @property
    def type(self) -> str:
        """The kind of search, such as `token`."""
        return self.definition.type


# What R4's own definitions say wrongly about components, by their expressions: a relation and its
# target stand in each other's place, and the name of a type is misspelt.
_CORRECTED = {
    ("http://hl7.org/fhir/SearchParameter/DocumentReference-relatesto", "code"): "target",
    ("http://hl7.org/fhir/SearchParameter/DocumentReference-relation", "target"): "code",
    (
        "http://hl7.org/fhir/SearchParameter/Observation-value-date",
        "value.as(DateTime) | value.as(Period)",
    ): "value.as(dateTime) | value.as(Period)",
}


class SearchParameters:
    """What can be searched for, by resource type.

    extra: definitions beside the official ones; the first definition of a code is kept.
    A definition without an expression that is not special can hold no value, and is left out.
    """

    def __init__(
        self, known: Definitions | None = None, extra: Iterable[SearchParameterDefinition] = ()
    ) -> None:
        self._known = known or definitions()
        self._by_type: dict[str, dict[str, SearchParameter]] = {
            name: {} for name in (ANY_TYPE, *sorted(self._known.resource_types))
        }
        self._by_url: dict[str, SearchParameterDefinition] = {}
        for definition in (*self._known.search_parameters, *extra):
            self._by_url.setdefault(definition.url, definition)
            self._add(definition)

    def _add(self, definition: SearchParameterDefinition) -> None:
        special = definition.code in SPECIAL or definition.type == "special"
        if definition.expression is None and not special:
            return
        kind = "special" if special else definition.type
        for name in self._types_of(definition.base):
            parameter = SearchParameter(name, definition.code, kind, definition.targets, definition)
            self._by_type[name].setdefault(definition.code, parameter)

    def _types_of(self, bases: tuple[str, ...]) -> Iterator[str]:
        for base in bases:
            if base in self._by_type:
                yield base
            if base not in self._known.resource_types:
                yield from (
                    name for name in self._known.resource_types if self._known.is_a(name, base)
                )

    def without(self, unwanted: Callable[[SearchParameter], bool]) -> "SearchParameters":
        """The same, but for some parameters."""
        found = copy(self)
        found._by_type = {
            type_: {code: each for code, each in of_type.items() if not unwanted(each)}
            for type_, of_type in self._by_type.items()
        }
        return found

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Every resource type."""
        return tuple(name for name in self._by_type if name != ANY_TYPE)

    def get(self, resource_type: str, code: str) -> SearchParameter | None:
        """The parameter `code` of a type, or of all types if that is `Resource`."""
        return self._by_type.get(resource_type, {}).get(code)

    def by_url(self, url: str) -> SearchParameterDefinition | None:
        """The definition with a canonical url."""
        return self._by_url.get(url)

    def of(self, resource_type: str) -> tuple[SearchParameter, ...]:
        """Every parameter of a type, those it shares with all types included."""
        return tuple(self._by_type.get(resource_type, {}).values())

    def components(self, parameter: SearchParameter) -> tuple[Component, ...]:
        """The components of a composite parameter; empty if the definition of one is unknown."""
        found = tuple(
            Component(self._by_url[url], _CORRECTED.get((url, expression), expression))
            for url, expression in parameter.definition.components
            if url in self._by_url
        )
        return found if len(found) == len(parameter.definition.components) else ()

    def each(self, change: Callable[[SearchParameter], SearchParameter]) -> "SearchParameters":
        """The same, with every parameter as it is changed."""
        found = copy(self)
        found._by_type = {
            type_: {code: change(each) for code, each in of_type.items()}
            for type_, of_type in self._by_type.items()
        }
        return found
