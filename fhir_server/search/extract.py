"""Reads from a resource everything it can be found by (R4 search.html)."""

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.fhirpath.branches import Branch, itself
from fhir_server.fhirpath.references import InContainer
from fhir_server.search.composites import Composites, Step
from fhir_server.search.emitters import MakerFor, maker_for
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import ANY_TYPE, COLUMNS, SearchParameter, SearchParameters
from fhir_server.search.patient_dates import DATES, PatientDates
from fhir_server.search.presence import Presence
from fhir_server.search.sealed import sealed_maker
from fhir_server.search.sites import Emit, Site
from fhir_server.search.values import Instants
from fhir_server.spec import definitions

__all__ = ["FORMAT", "Extractor", "IndexEntries"]

# What is entered, and how. To be raised with every change: what is stored is then read again.
FORMAT = 3

# What reading a value of the wrong shape raises. The structure check refuses such resources; one
# that was stored before a check existed still has to be indexed as far as it makes sense.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class _Plan:
    """The steps for one resource type, by the property of the resource they begin at."""

    __slots__ = ("always", "by_property", "presence")

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.always: list[Step] = []
        self.by_property: dict[str, list[Step]] = {}

    def add(self, heads: Iterable[str], step: Step) -> None:
        if not heads:
            self.always.append(step)
        for head in heads:
            self.by_property.setdefault(head, []).append(step)


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
        self._patient_dates = {type_: PatientDates(type_) for type_ in DATES}

    def extract(self, resource: dict[str, Any]) -> IndexEntries:
        """The entries of `resource`; a value that is not what its type says is passed over.

        Raises `Invalid` for a resource with too many combinations of values that stand together.
        """
        entries = IndexEntries()
        if "id" in resource:
            entries.container = f"{resource['resourceType']}/{resource['id']}"
        self._enter(resource, entries)
        if (patient_dates := self._patient_dates.get(resource["resourceType"])) is not None:
            patient_dates.enter(entries)
        if "contained" in resource:
            self._enter_contained(resource, entries)
        entries.settle()
        return entries

    def _enter(self, resource: dict[str, Any], entries: IndexEntries) -> None:
        type_ = resource["resourceType"]
        plan = self._plans.get(type_)
        if plan is None:
            plan = self._plans.setdefault(type_, self._plan(type_))
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
        plan.presence.enter(entries)

    def _enter_contained(self, resource: dict[str, Any], entries: IndexEntries) -> None:
        for place, item in enumerate(resource["contained"] or (), 1):
            inner = IndexEntries(container=entries.container)
            try:
                type_, id_ = str(item["resourceType"]), str(item.get("id", ""))
                self._enter(InContainer(item, resource), inner)
            except _MALFORMED:
                continue
            inner.settle()
            entries.contain(place, type_, id_, inner)

    def _plan(self, type_: str) -> _Plan:
        wanted = [
            parameter
            for parameter in (*self._parameters.of(type_), *self._parameters.of(ANY_TYPE))
            if parameter.code not in COLUMNS and parameter.definition.expression is not None
        ]
        plan = _Plan(Presence(type_, (parameter.code for parameter in wanted)))
        plain = [item for item in wanted if item.keyed is None]
        sealed = [item for item in wanted if item.keyed is not None and item.type != "composite"]
        self._add_values(plan, type_, [item for item in plain if item.type != "composite"])
        self._add_values(plan, type_, sealed, sealed_maker)
        self._add_composites(plan, type_, [item for item in plain if item.type == "composite"])
        return plan

    def _add_values(
        self,
        plan: _Plan,
        type_: str,
        wanted: list[SearchParameter],
        makers: MakerFor = maker_for,
    ) -> None:
        for kind, branch, takers in _branches(type_, wanted):
            site = self._site(branch, takers)
            maker = makers(kind, branch.type, site.definitions)
            bits = plan.presence.bits(parameter.code for parameter in takers)
            heads = () if branch.head is None else (branch.head,)
            plan.add(heads, _step(branch, bits, maker(site) if maker else _nothing))

    def _add_composites(self, plan: _Plan, type_: str, wanted: list[SearchParameter]) -> None:
        composites = Composites(self._parameters, type_, self._site, plan.presence.bits)
        for heads, step in composites.steps(wanted):
            plan.add(heads, step)

    def _site(self, branch: Branch, parameters: Sequence[SearchParameter] = ()) -> Site:
        return Site(branch, parameters, self._base_url, self._instants, definitions())


def _branches(
    type_: str, wanted: Iterable[SearchParameter]
) -> Iterable[tuple[str, Branch, list[SearchParameter]]]:
    """Every branch with the parameters that want its values, so that it is read once."""
    found: dict[object, tuple[str, Branch, list[SearchParameter]]] = {}
    for parameter in wanted:
        expression = parameter.expression(type_)
        for branch in expression.branches if expression else ():
            identity = (parameter.type, branch.type, branch.head, branch.path)
            _, _, takers = found.setdefault(identity, (parameter.type, branch, []))
            if parameter not in takers:
                takers.append(parameter)
    return found.values()


def _nothing(_value: Any, _entries: IndexEntries) -> None:
    return


def _step(branch: Branch, bits: int, emit: Emit) -> Step:
    evaluate = branch.evaluate
    if branch.many:
        return _each(bits, emit) if evaluate is itself else _each_of(branch, bits, emit)

    def single(value: Any, resource: Any, entries: IndexEntries) -> None:
        found = evaluate(value, resource)
        if found is not None:
            entries.present |= bits
            emit(found, entries)

    def direct(value: Any, _resource: Any, entries: IndexEntries) -> None:
        entries.present |= bits
        emit(value, entries)

    return direct if evaluate is itself else single


def _each(bits: int, emit: Emit) -> Step:
    def step(value: Any, _resource: Any, entries: IndexEntries) -> None:
        for item in value:
            if item is not None:
                entries.present |= bits
                emit(item, entries)

    return step


def _each_of(branch: Branch, bits: int, emit: Emit) -> Step:
    evaluate = branch.evaluate

    def step(value: Any, resource: Any, entries: IndexEntries) -> None:
        for item in evaluate(value, resource) or ():
            if item is not None:
                entries.present |= bits
                emit(item, entries)

    return step
