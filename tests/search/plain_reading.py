"""What the index should hold, read slowly and plainly through the general FHIRPath engine.

Compared with what extraction enters, for which parameters have a value and for composites.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server import fhirpath
from fhir_server.fhirpath import Compiled, Node
from fhir_server.search import keys
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extract import Extractor
from fhir_server.search.normalize import normalize_for_index
from fhir_server.search.parameters import (
    ANY_TYPE,
    COLUMNS,
    Component,
    SearchParameter,
    SearchParameters,
)
from fhir_server.search.values import HIGHEST, LOWEST, Instants, quantity_range
from fhir_server.spec import definitions

BASE_URL = "https://example.org/fhir"
_ZONE = ZoneInfo("UTC")
_INSTANTS = Instants(_ZONE)
_PARAMETERS = SearchParameters()

# A row or key with the list of `IndexEntries` that it belongs to.
Entry = tuple[str, Any]


class _WithoutComposites(SearchParameters):
    def of(self, resource_type: str) -> tuple[SearchParameter, ...]:
        return tuple(item for item in super().of(resource_type) if item.type != "composite")


_ALL = Extractor(_PARAMETERS, base_url=BASE_URL, zone=_ZONE)
_PLAIN = Extractor(_WithoutComposites(), base_url=BASE_URL, zone=_ZONE)


def differences(resource: dict[str, Any]) -> list[str]:
    """Where extraction and the plain reading of a resource disagree; empty if nowhere.

    What it contains is read by itself: its entries stand apart from those of the resource.
    """
    outer = {name: value for name, value in resource.items() if name != "contained"}
    inner = resource.get("contained", ())
    return [text for item in (outer, *inner) for text in _differences(item)]


def _differences(resource: dict[str, Any]) -> list[str]:
    type_ = resource["resourceType"]
    entries, wanted = _ALL.extract(resource), present(resource)
    name = keys.hash64(keys.presence_parameter(type_))
    (text,) = [text for parameter, text in entries.texts if parameter == name]
    found = set(text.split(",")) - {""}
    told = [f"{code} is present" for code in sorted(wanted - found)]
    told += [f"{code} is not present" for code in sorted(found - wanted)]
    if keys.key(keys.presence_parameter(type_), text) not in entries.keys:
        told.append("the key of what is present is not there")
    signature = ("keys", keys.key(keys.presence_parameter(type_), text))
    extracted = _entries(entries) - _entries(_PLAIN.extract(resource))
    del extracted[signature]
    composed = Counter(set(composites(resource)))
    told += [f"{entry} is missing" for entry in composed - extracted]
    told += [f"{entry} is too much" for entry in extracted - composed]
    return told


def _entries(entries: IndexEntries) -> Counter[Entry]:
    lists = ("keys", "strings", "dates", "numbers")
    return Counter((name, entry) for name in lists for entry in getattr(entries, name))


def _parameters(resource: dict[str, Any]) -> Iterator[SearchParameter]:
    for parameter in (*_PARAMETERS.of(resource["resourceType"]), *_PARAMETERS.of(ANY_TYPE)):
        if parameter.definition.expression and parameter.code not in COLUMNS:
            yield parameter


@cache
def _compiled(source: str) -> Compiled:
    return fhirpath.compile(source, as_filters=True)


def present(resource: dict[str, Any]) -> set[str]:
    """The codes of the parameters that have a value; a composite has all its components."""
    return {
        parameter.code
        for parameter in _parameters(resource)
        if (
            any(True for _ in _items(parameter, resource))
            if parameter.type == "composite"
            else _compiled(str(parameter.definition.expression)).evaluate(resource)
        )
    }


def _items(
    parameter: SearchParameter, resource: dict[str, Any]
) -> Iterator[list[tuple[Component, list[Node]]]]:
    """For every item of a composite in which all components have values, those values."""
    for item in _compiled(str(parameter.definition.expression)).evaluate_nodes(resource):
        found = [
            (component, [node for node in _nodes(component, item) if node.value is not None])
            for component in _PARAMETERS.components(parameter)
        ]
        if all(nodes for _, nodes in found):
            yield found


def _nodes(component: Component, item: Node) -> list[Node]:
    return _compiled(component.expression).evaluate_nodes(item)


def composites(resource: dict[str, Any]) -> Iterator[Entry]:
    """The entries of all composite parameters."""
    for parameter in _parameters(resource):
        if parameter.type == "composite":
            for item in _items(parameter, resource):
                yield from _combined(parameter, item)


_TABLES = {"string": "strings", "date": "dates", "number": "numbers", "quantity": "numbers"}


def _combined(
    parameter: SearchParameter, item: list[tuple[Component, list[Node]]]
) -> Iterator[Entry]:
    texts = [
        [text for node in nodes for text in _texts(component.type, node)]
        for component, nodes in item
        if component.type not in _TABLES
    ]
    rows = [
        [row for node in nodes for row in _rows(component.type, node)]
        for component, nodes in item
        if component.type in _TABLES
    ]
    ordered = [component.type for component, _ in item if component.type in _TABLES]
    if len(rows) == 2:
        rows = [[(keys.NO_UNIT, one[1], other[2]) for one, other in product(*rows)]]
    for combination in product(*texts):
        joined = "\x1e".join(combination)
        if not rows:
            yield "keys", keys.hash64(parameter.name) ^ keys.hash64(joined)
        for row in rows[0] if rows else ():
            hash_ = keys.hash64(parameter.name) ^ keys.hash64(joined)
            yield _TABLES[ordered[0]], (hash_, *row)


def _texts(kind: str, node: Node) -> Iterator[str]:
    match kind, node.type, node.value:
        case "reference", "Reference", {"reference": str(reference)} if reference[0] != "#":
            yield reference.removeprefix(f"{BASE_URL}/").partition("/_history/")[0]
        case "token", "CodeableConcept", {"coding": list(codings)}:
            for coding in codings:
                yield from _forms(coding.get("system"), coding.get("code"))
        case "token", "Coding", coding:
            yield from _forms(coding.get("system"), coding.get("code"))
        case "token", "boolean", value:
            yield from _forms(None, str(value).lower())
        case "token", "code", str(code):
            yield from _forms(_system_of(node, code), code)


def _forms(system: str | None, code: str | None) -> Iterable[str]:
    return (f"*\x1f{code}", f"{system or ''}\x1f{code}") if code else ()


def _system_of(node: Node, code: str) -> str | None:
    assert node.parent is not None
    assert node.child is not None
    element = definitions().types[node.parent.type].elements[node.child.name]
    assert element.binding is not None
    systems = definitions().codes_by_system(element.binding.value_set) or {}
    owners = [system for system, codes in systems.items() if code in codes]
    return owners[0] if len(owners) == 1 else None


def _rows(kind: str, node: Node) -> Iterator[tuple[Any, ...]]:
    value: Any = node.value
    match kind, node.type:
        case "string", "string":
            if text := normalize_for_index(value):
                yield (text,)
        case "date", "dateTime":
            yield _INSTANTS.of_text(value)
        case "date", "Period":
            if period := _INSTANTS.of_period(value):
                yield period
        case "number", "integer":
            yield keys.NO_UNIT, Decimal(value), Decimal(value)
        case "quantity", "Quantity":
            if limits := quantity_range(value):
                yield (_unit(value), *limits)
        case "quantity", "Range":
            low, high = value.get("low", {}), value.get("high", {})
            if "value" in low or "value" in high:
                yield (
                    _unit(low or high),
                    Decimal(low.get("value", LOWEST)),
                    Decimal(high.get("value", HIGHEST)),
                )


def _unit(quantity: dict[str, Any]) -> int:
    parts = [quantity.get(name, "") for name in ("system", "code", "unit")]
    return keys.hash64("\x1f".join(parts)) if any(parts) else keys.NO_UNIT
