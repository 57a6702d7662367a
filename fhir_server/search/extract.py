"""Reads from a resource everything it can be found by (R4 search.html)."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.fhirpath.branches import Branch, itself
from fhir_server.search.emitters import Emit, Site, maker_for
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import ANY_TYPE, COLUMNS, SearchParameter, SearchParameters
from fhir_server.search.values import Instants
from fhir_server.spec import definitions

__all__ = ["Extractor", "IndexEntries"]

# Takes the value of one property of a resource and the resource, and enters what it finds.
Step = Callable[[Any, Any, IndexEntries], None]

# What reading a value of the wrong shape raises. The structure check refuses such resources; one
# that was stored before a check existed still has to be indexed as far as it makes sense.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class _Plan:
    """The steps for one resource type, by the property of the resource they begin at."""

    __slots__ = ("always", "by_property")

    def __init__(self) -> None:
        self.always: list[Step] = []
        self.by_property: dict[str, list[Step]] = {}

    def add(self, branch: Branch, emit: Emit) -> None:
        if branch.head is None:
            self.always.append(_step(branch, emit))
        else:
            self.by_property.setdefault(branch.head, []).append(_step(branch, emit))


class Extractor:
    """Makes the index entries of resources; one plan a type, made when it is first needed.

    base_url: this server's own, under which absolute references are its own resources.
    zone: of dates and times that name none.
    """

    def __init__(self, parameters: SearchParameters, *, base_url: str, zone: ZoneInfo) -> None:
        self._parameters = parameters
        self._base_url = base_url.rstrip("/")
        self._instants = Instants(zone)
        self._plans: dict[str, _Plan] = {}

    def extract(self, resource: dict[str, Any]) -> IndexEntries:
        """The entries of `resource`; a value that is not what its type says is passed over."""
        type_ = resource["resourceType"]
        plan = self._plans.get(type_)
        if plan is None:
            plan = self._plans.setdefault(type_, self._plan(type_))
        entries = IndexEntries()
        steps_of = plan.by_property.get
        for name, value in resource.items():
            for step in steps_of(name, ()):
                try:
                    step(value, resource, entries)
                except _MALFORMED:
                    continue
        for step in plan.always:
            try:
                step(resource, resource, entries)
            except _MALFORMED:
                continue
        entries.settle()
        return entries

    def _plan(self, type_: str) -> _Plan:
        known = definitions()
        plan = _Plan()
        for kind, branch, parameters in self._branches(type_):
            maker = maker_for(kind, branch.type, known)
            if maker is not None:
                site = Site(branch, parameters, self._base_url, self._instants, known)
                plan.add(branch, maker(site))
        return plan

    def _branches(self, type_: str) -> list[tuple[str, Branch, list[SearchParameter]]]:
        """Every branch with the parameters that want its values, so that it is read once."""
        wanted: dict[Any, tuple[str, Branch, list[SearchParameter]]] = {}
        for parameter in (*self._parameters.of(type_), *self._parameters.of(ANY_TYPE)):
            if parameter.code in COLUMNS:
                continue
            expression = parameter.expression(type_)
            for branch in expression.branches if expression else ():
                identity = (parameter.type, branch.type, branch.head, branch.path)
                _, _, takers = wanted.setdefault(identity, (parameter.type, branch, []))
                if parameter not in takers:
                    takers.append(parameter)
        return list(wanted.values())


def _step(branch: Branch, emit: Emit) -> Step:
    evaluate = branch.evaluate
    if branch.many:
        return _each(emit) if evaluate is itself else _each_of(branch, emit)

    def single(value: Any, resource: Any, entries: IndexEntries) -> None:
        found = evaluate(value, resource)
        if found is not None:
            emit(found, entries)

    def direct(value: Any, _resource: Any, entries: IndexEntries) -> None:
        emit(value, entries)

    return direct if evaluate is itself else single


def _each(emit: Emit) -> Step:
    def step(value: Any, _resource: Any, entries: IndexEntries) -> None:
        for item in value:
            if item is not None:
                emit(item, entries)

    return step


def _each_of(branch: Branch, emit: Emit) -> Step:
    evaluate = branch.evaluate

    def step(value: Any, resource: Any, entries: IndexEntries) -> None:
        for item in evaluate(value, resource) or ():
            if item is not None:
                emit(item, entries)

    return step
