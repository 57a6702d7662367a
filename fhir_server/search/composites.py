"""Composite parameters: values that stand together in one item (R4 search.html#composite).

A composite of token, reference and uri components is found by keys. One that also has a string,
date, number or quantity is found by rows of that kind, under a parameter of their own for each
combination of the rest. Two numbers are one row, from the first to the second.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

from fhir_server.fhirpath.branches import Branch
from fhir_server.fhirpath.compiler import compile_expression
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import discrete, keys, ordered
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import Component, SearchParameter, SearchParameters
from fhir_server.search.sites import Site, nearest

# A resource in which the components of a parameter can be combined in more ways is refused.
MOST_COMBINATIONS = 20_000

# Takes the value of one property of a resource and the resource, and enters what it finds.
Step: TypeAlias = Callable[[Any, Any, IndexEntries], None]

# Takes an item and its resource; gives the texts or rows of a component, None without any value.
_ReadComponent: TypeAlias = Callable[[Any, Any], list[Any] | None]

# Enters the texts or rows of all components of an item.
_EnterParts: TypeAlias = Callable[[Sequence[list[Any]], IndexEntries], None]

_RESOURCE = "%resource."


@dataclass(frozen=True, slots=True)
class Shape:
    """How the components of a composite parameter are stored, by their places.

    keys: those found by equality. rows: the one found by comparison, or two numbers.
    kind: the kind of the rows; empty if there are none.
    """

    keys: tuple[int, ...]
    rows: tuple[int, ...]
    kind: str


def shape(components: Sequence[Component]) -> Shape | None:
    """The shape of a composite with these components; None if it cannot be searched."""
    kinds = [component.type for component in components]
    by_key = tuple(place for place, kind in enumerate(kinds) if kind in discrete.COMPONENTS)
    by_row = tuple(place for place, kind in enumerate(kinds) if kind in ordered.READERS)
    compared = [kinds[place] for place in by_row]
    if not kinds or len(by_key) + len(by_row) < len(kinds):
        return None
    if len(compared) > 1 and compared != ["number", "number"]:
        return None
    return Shape(by_key, by_row, compared[0] if compared else "")


def place(component: Component) -> tuple[bool, str]:
    """Whether a component's values are seen from the resource, not the item; and the path."""
    of_resource = component.expression.startswith(_RESOURCE)
    return of_resource, component.expression.removeprefix(_RESOURCE)


@dataclass(frozen=True, slots=True)
class _Source:
    """A branch of a component, seen from an item or from the resource."""

    branch: Branch
    of_resource: bool

    @property
    def identity(self) -> object:
        return (self.branch.type, self.branch.head, self.branch.path, self.of_resource)


@dataclass(frozen=True, slots=True)
class _Group:
    """Composite parameters that combine the same values."""

    base: Branch
    shape: Shape
    components: tuple[tuple[str, tuple[_Source, ...]], ...]
    parameters: list[SearchParameter]


class Composites:
    """Makes the steps that enter composite parameters of one resource type.

    site_of: makes the site of a branch for what reads its values.
    bits: of the codes of parameters, for `IndexEntries.present`.
    """

    def __init__(
        self,
        all_parameters: SearchParameters,
        type_: str,
        site_of: Callable[[Branch], Site],
        bits: Callable[[Iterable[str]], int],
    ) -> None:
        self._all = all_parameters
        self._type = type_
        self._site_of = site_of
        self._bits = bits

    def steps(self, parameters: Iterable[SearchParameter]) -> Iterator[tuple[frozenset[str], Step]]:
        """Each step with the properties of the resource of which it needs one.

        No properties: the step has to be taken for every resource.
        """
        for group in self._groups(parameters):
            yield _heads(group), self._step(group)

    def _groups(self, parameters: Iterable[SearchParameter]) -> list[_Group]:
        groups: dict[object, _Group] = {}
        for parameter in parameters:
            components = self._all.components(parameter)
            expression, form = parameter.expression(self._type), shape(components)
            if form is None or expression is None:
                continue
            for base in expression.branches:
                sources = tuple((part.type, self._sources(part, base)) for part in components)
                identity = (
                    (base.type, base.head, base.path),
                    tuple((kind, tuple(one.identity for one in found)) for kind, found in sources),
                )
                group = groups.setdefault(identity, _Group(base, form, sources, []))
                group.parameters.append(parameter)
        return list(groups.values())

    def _sources(self, component: Component, base: Branch) -> tuple[_Source, ...]:
        of_resource, path = place(component)
        type_ = self._type if of_resource else base.type
        return tuple(_Source(one, of_resource) for one in compile_expression(path, type_).branches)

    def _step(self, group: _Group) -> Step:
        reads = [self._reader(kind, sources) for kind, sources in group.components]
        bits = self._bits(parameter.code for parameter in group.parameters)
        names = [parameter.hash for parameter in group.parameters]
        enter = _enter_rows(group.shape, names) if group.shape.rows else _enter_keys(names)
        items = group.base.values()

        def step(_value: Any, resource: Any, entries: IndexEntries) -> None:
            combinations = 0
            for item in items(resource, resource):
                parts = []
                for read in reads:
                    part = read(item, resource)
                    if part is None:
                        break
                    parts.append(part)
                else:
                    entries.present |= bits
                    combinations += prod(map(len, parts))
                    if combinations > MOST_COMBINATIONS:
                        raise _too_many(group)
                    enter(parts, entries)

        return step

    def _reader(self, kind: str, sources: Sequence[_Source]) -> _ReadComponent:
        found = [
            (source.branch.values(), source.of_resource, self._values_reader(kind, source.branch))
            for source in sources
        ]

        def read(item: Any, resource: Any) -> list[Any] | None:
            parts: list[Any] | None = None
            for values, of_resource, read_value in found:
                for value in values(resource if of_resource else item, resource):
                    if parts is None:
                        parts = []
                    parts += read_value(value)
            return parts

        return read

    def _values_reader(self, kind: str, branch: Branch) -> Callable[[Any], Iterable[Any]]:
        site = self._site_of(branch)
        if kind in discrete.COMPONENTS:
            texts = nearest(discrete.COMPONENTS[kind], branch.type, site.definitions)
            return texts(site) if texts else _nothing
        rows = nearest(ordered.READERS[kind], branch.type, site.definitions)
        return rows(site.instants) if rows else _nothing


def _nothing(_value: Any) -> Iterable[Any]:
    return ()


def _heads(group: _Group) -> frozenset[str]:
    """Properties without which the group finds nothing: those of the last component, if any."""
    if not group.base.is_input:
        return frozenset({group.base.head} if group.base.head else ())
    heads = [source.branch.head for source in group.components[-1][1]]
    return frozenset(head for head in heads if head) if all(heads) else frozenset()


def _enter_keys(names: Sequence[int]) -> _EnterParts:
    def enter(parts: Sequence[list[Any]], entries: IndexEntries) -> None:
        for texts in product(*parts):
            value = keys.hash64(keys.composite_text(texts))
            entries.keys += [name ^ value for name in names]

    return enter


def _enter_rows(form: Shape, names: Sequence[int]) -> _EnterParts:
    enter_rows = ordered.ENTER[form.kind]

    def enter(parts: Sequence[list[Any]], entries: IndexEntries) -> None:
        rows = parts[form.rows[0]]
        if len(form.rows) > 1:
            ends = parts[form.rows[1]]
            rows = [(unit, low, high) for unit, low, _ in rows for _, _, high in ends]
        for texts in product(*[parts[place] for place in form.keys]):
            value = keys.hash64(keys.composite_text(texts))
            enter_rows([name ^ value for name in names], rows, entries)

    return enter


def _too_many(group: _Group) -> Invalid:
    names = ", ".join(parameter.code for parameter in group.parameters)
    problem = (
        f"The values of the search parameters {names} can be combined in too many ways; "
        f"at most {MOST_COMBINATIONS} combinations of their components are allowed"
    )
    return Invalid(Issue("too-costly", problem, group.base.type), status=422)
