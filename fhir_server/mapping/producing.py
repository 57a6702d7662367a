"""What becomes of one value: a constant, a primitive, a code by a concept map."""

import copy
from collections.abc import Callable
from typing import Any

from fhir_server.mapping.evaluation import text_of
from fhir_server.mapping.placing import Unmapped, source_uri
from fhir_server.mapping.primitives import CONVERTERS, code_of
from fhir_server.mapping.primitives import text_of as primitive_text
from fhir_server.mapping.rules import Json, MappingError, Rule, Table
from fhir_server.mapping.scope import Scope
from fhir_server.mapping.slots import Slot

# From a value to what stands in FHIR, None for nothing.
Make = Callable[[Scope, Any], Any]


def with_url(url: str, value: Any) -> Json | None:
    return {"url": url, **value} if value else None


def constant(value: Any, slot: Slot, known: Any, rule: Rule) -> Make:
    codes = known.codes(slot.required) if slot.required else None
    if codes is not None and slot.type == "code" and value not in codes:
        raise MappingError(f"{value!r} is no code of {slot.required}")
    if isinstance(value, (dict, list)):
        return lambda scope, item: copy.deepcopy(value)
    return lambda scope, item: value


def primitive(rule: Rule, slot: Slot) -> Make:
    convert, type_ = CONVERTERS[slot.type], slot.type

    def make(scope: Scope, item: Any) -> Any:
        text = primitive_text(item) if item is not None else ""
        if not text:
            return None
        value = convert(scope, text)
        if value is None:
            scope.run.tell("warning", "102", f"{text!r} is no {type_}", item, rule.label)
        return value

    return make


def translated(rule: Rule, table: Table, slot: Slot) -> Make:
    """A code by a concept map; one that the map lacks is kept beside it (ALTERNATE_CODES)."""

    def make(scope: Scope, item: Any) -> Any:
        text = text_of(item)
        if not text:
            return None
        concept = table.codes.get(text)
        if concept is not None:
            return concept.code
        told = f"{text!r} is not in the table {table.name}"
        scope.run.tell("warning", "103", told, item, rule.label)
        return Unmapped(table.default, code_of(text), table.source)

    return make


def coded_by(rule: Rule, make: Make, table: Table, type_: str) -> Make:
    """A concept with the code that a map has for it first, and its own coding kept."""

    def coded(scope: Scope, item: Any) -> Json | None:
        value: Json | None = make(scope, item)
        text = text_of(item)
        concept = table.codes.get(text) if text else None
        if text and concept is None:
            told = f"{text!r} is not in the table {table.name}; it is kept as it is"
            scope.run.tell("information", "103", told, item, rule.label)
        own = ((value or {}).get("coding") or [value] if value else [None])[0]
        if own and "code" in own and "system" not in own and table.source:
            own["system"] = source_uri(table.source)
        if concept is None:
            return value
        coding = {"system": concept.system, "code": concept.code, "display": concept.display}
        coding = {name: text for name, text in coding.items() if text}
        if type_ == "Coding":
            return coding
        value = value or {}
        same = (coding.get("system"), coding["code"])
        rest = [c for c in value.get("coding", ()) if (c.get("system"), c.get("code")) != same]
        return value | {"coding": [coding, *rest]}

    return coded
