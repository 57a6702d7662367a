"""Puts values into elements: what is there already stays, and each value knows its rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.entries import Deletion
from fhir_server.mapping.expressions import Path, read
from fhir_server.mapping.rules import Json, Rule
from fhir_server.mapping.scope import Mark, Scope
from fhir_server.mapping.slots import Slot
from fhir_server.mapping.values import Segment, Value

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A code that a concept map lacks: what stands in its place, and what it was."""

    code: str | None
    original: str
    source: str


def source_uri(source: str) -> str:
    number = source.removeprefix("HL7")
    return f"http://terminology.hl7.org/CodeSystem/v2-{number}" if number.isdigit() else source


def taken(target: Json, slot: Slot) -> bool:
    """Whether an element that may be there once is there, in this or another type of a choice."""
    for name, many in slot.parents:
        inner = target.get(name)
        if inner is None:
            return False
        target = inner[0] if many else inner
    return slot.name in target or any(each in target for each in slot.variants)


def put(scope: Scope, target: Json, slot: Slot, value: Any, rule: Rule, item: Any) -> bool:
    """Put a value where it belongs; an element that has one already keeps it."""
    for parent, many in slot.parents:
        inner = target.setdefault(parent, [{}] if many else {})
        target = inner[0] if many else inner
    trace = scope.run.trace
    if isinstance(value, Unmapped):
        if slot.name not in target:
            _put_unmapped(target, slot.name, value)
            if trace is not None:
                trace[id(target), f"_{slot.name}"] = _mark(scope, rule, item)
        if value.code is None:
            return True
        value = value.code
    if slot.many:
        container = target.setdefault(slot.name, [])
        if value not in container:
            container.append(value)
            if trace is not None:
                trace[id(container), len(container) - 1] = _mark(scope, rule, item)
        return True
    if slot.name in target or any(each in target for each in slot.variants):
        return False
    target[slot.name] = value
    if trace is not None:
        trace[id(target), slot.name] = _mark(scope, rule, item)
    return True


def _put_unmapped(target: Json, name: str, value: Unmapped) -> None:
    coding = {"system": source_uri(value.source), "code": value.original}
    coding = {each: text for each, text in coding.items() if text}
    extension = {"url": ALTERNATE_CODES, "valueCodeableConcept": {"coding": [coding]}}
    target.setdefault(f"_{name}", {}).setdefault("extension", []).append(extension)


def _mark(scope: Scope, rule: Rule, item: Any) -> Mark:
    if isinstance(item, (Value, Segment)):
        return Mark(rule.label, item.where)
    place = str(rule.get("from") or "")
    if place and isinstance(scope.value, Value):
        return Mark(rule.label, f"{scope.value.where}: {place}")
    return Mark(rule.label, place)


def nulls_of(rule: Rule) -> Callable[[Scope], bool] | None:
    """Whether the field of a rule says that what it held is to be deleted."""
    source = read(rule.get("from")) if rule.get("from") else None
    if not isinstance(source, Path) or source.segment is None or not source.field or source.parts:
        return None
    name, field = source.segment, source.field

    def nulls(scope: Scope) -> bool:
        segment = scope.find(name)
        return segment is not None and segment.is_null(field)

    return nulls


def delete(scope: Scope, rule: Rule, slot: Slot) -> None:
    entry = scope.run.entries.current
    if entry is None or rule.get("on"):
        return
    element = ".".join([*(name for name, _ in slot.parents), slot.name])
    items = tuple((rule.get("clears") or {}).items())
    if rule.get("extension"):
        items = (("url", rule.get("extension")),)
    entry.deletions.append(Deletion(element, items))
